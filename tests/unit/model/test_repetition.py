from insula.model.repetition import repeated


def test_what_comes_more_than_once_is_told_once_in_its_order() -> None:
    assert list(repeated(["b", "a", "b", "a", "b", "c"])) == ["b", "a"]
    assert list(repeated([])) == []
