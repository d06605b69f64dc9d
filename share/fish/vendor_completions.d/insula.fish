# fish completion of insula; made from its table of verbs.

function __insula_words # the words so far, without the program and the options before the verb
    set -l words (commandline -opc)
    set -e words[1]
    while string match -q -- '-*' "$words[1]"
        if test "$words[1]" = --prefix
            set -e words[1]
        end
        set -e words[1]
    end
    if set -q words[1]
        printf '%s\n' $words
    end
end
function __insula_verb # VERB...: whether the words so far begin with these
    set -l words (__insula_words)
    test (count $words) -ge (count $argv); or return
    set -l head $words[1..(count $argv)]
    test "$head" = "$argv"
end
function __insula_at # VERB...: whether these are all the words so far
    set -l words (__insula_words)
    test (count $words) -eq (count $argv); and test "$words" = "$argv"
end
function __insula_names # VERB...: what this verb prints, a name a line
    set -l all (commandline -opc)
    if set -l at (contains -i -- --prefix $all)
        insula --prefix $all[(math $at + 1)] $argv 2>/dev/null
    else
        insula $argv 2>/dev/null
    end
end
complete -c insula -f
complete -c insula -n __insula_at -l prefix -x -a '(__fish_complete_directories)' -d 'the installation to use'
complete -c insula -n __insula_at -l version -d 'show versions and exit'
complete -c insula -n __insula_at -a run -d 'create and start a domain, and attach to it'
complete -c insula -n __insula_at -a create -d 'define a domain from an image or a root directory'
complete -c insula -n __insula_at -a ls -d 'list domains'
complete -c insula -n __insula_at -a start -d 'start domains'
complete -c insula -n __insula_at -a stop -d 'ask domains to shut down, and wait'
complete -c insula -n __insula_at -a restart -d 'ask domains to reboot, and wait'
complete -c insula -n __insula_at -a kill -d 'stop domains at once, or send their init a signal'
complete -c insula -n __insula_at -a pause -d 'freeze all processes of domains'
complete -c insula -n __insula_at -a resume -d 'let paused domains go on'
complete -c insula -n __insula_at -a rm -d 'remove domains with their writable layers'
complete -c insula -n __insula_at -a exec -d 'run a command inside'
complete -c insula -n __insula_at -a console -d 'attach to a console'
complete -c insula -n __insula_at -a info -d 'tell what is known of a domain'
complete -c insula -n __insula_at -a xml -d 'print a domain'\''s XML'
complete -c insula -n __insula_at -a edit -d 'change a domain'\''s definition in an editor'
complete -c insula -n __insula_at -a autostart -d 'let domains start with the daemon, or not'
complete -c insula -n __insula_at -a label -d 'show or change the labels of a domain'
complete -c insula -n __insula_at -a plan -d 'show every step of a start, with its reason'
complete -c insula -n __insula_at -a log -d 'show what a domain'\''s console said'
complete -c insula -n __insula_at -a image -d 'build, ls, rm, prune'
complete -c insula -n '__insula_at image' -a build -d 'build an image'
complete -c insula -n '__insula_at image' -a ls -d 'list images'
complete -c insula -n '__insula_at image' -a rm -d 'remove images'
complete -c insula -n '__insula_at image' -a prune -d 'remove the files that undefined domains left'
complete -c insula -n __insula_at -a completion -d 'print a shell'\''s completion of this command line'
complete -c insula -n '__insula_verb run' -l name -x -d 'the domain'\''s name (default: one is made up)'
complete -c insula -n '__insula_verb run' -s i -l image -x -a '(__insula_names image ls -q)' -d 'clone this image'
complete -c insula -n '__insula_verb run' -s r -l root -r -F -d 'use this directory of the host as the root file system'
complete -c insula -n '__insula_verb run' -s m -l memory -x -d 'limit, such as 512m (default: 1g)'
complete -c insula -n '__insula_verb run' -l vcpus -x -d 'how many processors it may use (default: 1)'
complete -c insula -n '__insula_verb run' -s e -l env -x -d 'for the guest'\''s init'
complete -c insula -n '__insula_verb run' -s w -l cwd -x -d 'working directory of the guest'\''s init'
complete -c insula -n '__insula_verb run' -s u -l user -x -d 'user of the guest'\''s init'
complete -c insula -n '__insula_verb run' -s b -l bridge -x -d 'an interface on this bridge of the host'
complete -c insula -n '__insula_verb run' -s v -l bind -x -d 'show a directory'
complete -c insula -n '__insula_verb run' -l privileged -d 'no user namespace: the guest'\''s root is the host'\''s'
complete -c insula -n '__insula_verb run' -l share-network -d 'the host'\''s network, shared'
complete -c insula -n '__insula_verb run' -l rm -d 'forget the domain and its writable layer when it stops'
complete -c insula -n '__insula_verb run' -s d -l detach -d 'do not attach; print the name'
complete -c insula -n '__insula_verb create' -s i -l image -x -a '(__insula_names image ls -q)' -d 'clone this image'
complete -c insula -n '__insula_verb create' -s r -l root -r -F -d 'use this directory of the host as the root file system'
complete -c insula -n '__insula_verb create' -s m -l memory -x -d 'limit, such as 512m (default: 1g)'
complete -c insula -n '__insula_verb create' -l vcpus -x -d 'how many processors it may use (default: 1)'
complete -c insula -n '__insula_verb create' -s e -l env -x -d 'for the guest'\''s init'
complete -c insula -n '__insula_verb create' -s w -l cwd -x -d 'working directory of the guest'\''s init'
complete -c insula -n '__insula_verb create' -s u -l user -x -d 'user of the guest'\''s init'
complete -c insula -n '__insula_verb create' -s b -l bridge -x -d 'an interface on this bridge of the host'
complete -c insula -n '__insula_verb create' -s v -l bind -x -d 'show a directory'
complete -c insula -n '__insula_verb create' -l privileged -d 'no user namespace: the guest'\''s root is the host'\''s'
complete -c insula -n '__insula_verb create' -l share-network -d 'the host'\''s network, shared'
complete -c insula -n '__insula_verb create' -l start -d 'start it, too'
complete -c insula -n '__insula_verb create' -l xml -d 'print the domain'\''s XML instead of defining it'
complete -c insula -n '__insula_verb ls' -s a -l all -d 'those that are off, too, as without it'
complete -c insula -n '__insula_verb ls' -l running -d 'only those that run or are paused'
complete -c insula -n '__insula_verb ls' -s q -l quiet -d 'only each one'\''s name'
complete -c insula -n '__insula_verb ls' -l json -d 'one JSON document, as --format json'
complete -c insula -n '__insula_verb ls' -l format -x -d 'how to print it; a text names fields, such as '\''{name}\t{uuid}'\''. Fields: name, uuid, id, state, addresses, memory, memory_limit, cpu_time, begun, image, root, persistent, autostart, labels'
complete -c insula -n '__insula_verb ls' -l sort -x -d 'by these fields; one with - before it the other way round'
complete -c insula -n '__insula_verb ls' -l filter -x -d 'only what matches, such as state=run*; repeatable; of labels label=NAME or label=NAME=VALUE'
complete -c insula -n '__insula_verb start' -s a -l all -d 'every domain that does not run'
complete -c insula -n '__insula_verb start' -a '(__insula_names ls -q)'
complete -c insula -n '__insula_verb stop' -s a -l all -d 'every domain that runs'
complete -c insula -n '__insula_verb stop' -s t -l time -x -d 'seconds to wait (default: 60)'
complete -c insula -n '__insula_verb stop' -s f -l force -d 'kill what has not stopped in time'
complete -c insula -n '__insula_verb stop' -a '(__insula_names ls -q)'
complete -c insula -n '__insula_verb restart' -s a -l all -d 'every domain that runs'
complete -c insula -n '__insula_verb restart' -s t -l time -x -d 'seconds to wait (default: 60)'
complete -c insula -n '__insula_verb restart' -a '(__insula_names ls -q)'
complete -c insula -n '__insula_verb kill' -s a -l all -d 'every domain that runs'
complete -c insula -n '__insula_verb kill' -s s -l signal -x -d 'send the guest'\''s init this signal instead, such as HUP or 10'
complete -c insula -n '__insula_verb kill' -a '(__insula_names ls -q)'
complete -c insula -n '__insula_verb pause' -s a -l all -d 'every domain that runs and is not paused'
complete -c insula -n '__insula_verb pause' -a '(__insula_names ls -q)'
complete -c insula -n '__insula_verb resume' -s a -l all -d 'every domain that is paused'
complete -c insula -n '__insula_verb resume' -a '(__insula_names ls -q)'
complete -c insula -n '__insula_verb rm' -s f -l force -d 'kill it first if it runs'
complete -c insula -n '__insula_verb rm' -a '(__insula_names ls -q)'
complete -c insula -n '__insula_verb exec' -s t -l tty -d 'give it a terminal (default: where we stand on one)'
complete -c insula -n '__insula_verb exec' -s T -l no-tty -d 'give it no terminal'
complete -c insula -n '__insula_verb exec' -s i -l interactive -d 'as always: your input is the command'\''s'
complete -c insula -n '__insula_verb exec' -s n -l null -d 'keep your input: the command'\''s is empty'
complete -c insula -n '__insula_verb exec' -s d -l detach -d 'do not wait; it has no streams, and goes on without us'
complete -c insula -n '__insula_verb exec' -s u -l user -x -d 'name or number, as the guest has it (default: root)'
complete -c insula -n '__insula_verb exec' -s g -l group -x -d 'name or number, as the guest has it'
complete -c insula -n '__insula_verb exec' -s w -l cwd -x -d 'working directory (default: the user'\''s home)'
complete -c insula -n '__insula_verb exec' -s e -l env -x -d 'more for its environment'
complete -c insula -n '__insula_verb exec' -a '(__insula_names ls -q)'
complete -c insula -n '__insula_verb console' -s f -l force -d 'take it from whoever is attached'
complete -c insula -n '__insula_verb console' -a '(__insula_names ls -q)'
complete -c insula -n '__insula_verb info' -l json -d 'one JSON document'
complete -c insula -n '__insula_verb info' -a '(__insula_names ls -q)'
complete -c insula -n '__insula_verb xml' -l inactive -d 'what the next start goes by, even while it runs'
complete -c insula -n '__insula_verb xml' -l secure -d 'with the values of the init'\''s environment'
complete -c insula -n '__insula_verb xml' -a '(__insula_names ls -q)'
complete -c insula -n '__insula_verb edit' -a '(__insula_names ls -q)'
complete -c insula -n '__insula_verb autostart' -l disable -d 'no longer'
complete -c insula -n '__insula_verb autostart' -a '(__insula_names ls -q)'
complete -c insula -n '__insula_verb label' -l json -d 'one JSON document'
complete -c insula -n '__insula_verb label' -a '(__insula_names ls -q)'
complete -c insula -n '__insula_verb plan' -l xml -r -F -d 'plan this definition instead, without defining it'
complete -c insula -n '__insula_verb plan' -l syscalls -d 'show the system calls of the guest'\''s first process'
complete -c insula -n '__insula_verb plan' -l json -d 'one JSON document'
complete -c insula -n '__insula_verb plan' -a '(__insula_names ls -q)'
complete -c insula -n '__insula_verb log' -s f -l follow -d 'go on as more comes'
complete -c insula -n '__insula_verb log' -a '(__insula_names ls -q)'
complete -c insula -n '__insula_verb image build' -l recipe -x -d 'what to build, if not what the name says: debian-12, debian-13, busybox, ...'
complete -c insula -n '__insula_verb image build' -l include -x -d 'install this, too'
complete -c insula -n '__insula_verb image build' -s o -l option -x -d 'of the recipe, such as mirror, suite, slim or console; see the reference on storage'
complete -c insula -n '__insula_verb image build' -s q -l quiet -d 'no progress'
complete -c insula -n '__insula_verb image ls' -s q -l quiet -d 'only each one'\''s name'
complete -c insula -n '__insula_verb image ls' -l json -d 'one JSON document, as --format json'
complete -c insula -n '__insula_verb image ls' -l format -x -d 'how to print it; a text names fields, such as '\''{name}\t{id}'\''. Fields: name, id, os, distribution, release, architecture, size, created, recipe'
complete -c insula -n '__insula_verb image ls' -l sort -x -d 'by these fields; one with - before it the other way round'
complete -c insula -n '__insula_verb image ls' -l filter -x -d 'only what matches, such as state=run*; repeatable; of labels label=NAME or label=NAME=VALUE'
complete -c insula -n '__insula_verb image rm' -a '(__insula_names image ls -q)'
complete -c insula -n '__insula_verb image prune' -l json -d 'one JSON document'
complete -c insula -n '__insula_verb completion' -a 'bash zsh fish'
