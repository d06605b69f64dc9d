import subprocess
import sys


def test_who_only_writes_documents_need_not_load_what_reads_them() -> None:
    code = "import sys, insula.model.xmlnamespaces; print('lxml' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.strip() == "False"
