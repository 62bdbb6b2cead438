# Completion of mailroot(1) for fish.

function __mailroot_root -d 'The folder that --root, else MAILROOT, else the default names'
    set -l words (commandline -opc)
    for i in (seq (count $words))
        switch $words[$i]
            case --root
                set -q words[(math $i + 1)]; and echo $words[(math $i + 1)]; and return
            case '--root=*'
                string replace -- --root= '' $words[$i]; and return
        end
    end
    set -q MAILROOT; and echo $MAILROOT; or echo /var/spool/mailroot
end

function __mailroot_ids -a folder extension -d 'Ids of the messages in a folder'
    for file in (__mailroot_root)/$folder/*.$extension
        basename $file .$extension
    end
end

set -l commands badmail-report badmail-requeue config-check mx-lookup pickup-drain queue-remove queue-report queue-retry send serve

complete -c mailroot -f

complete -c mailroot -l root -r -a '(__fish_complete_directories)' -d 'The mailroot folder'
complete -c mailroot -l config -r -F -d 'The configuration'
complete -c mailroot -l set -x -d 'Override one setting: key.path=VALUE'
complete -c mailroot -s v -d 'Say more on stderr'
complete -c mailroot -s q -d 'Say on stderr only what must be looked at'
complete -c mailroot -l version -d 'Print the version'
complete -c mailroot -s h -l help -d 'Print the help'

complete -c mailroot -n "not __fish_seen_subcommand_from $commands" -a badmail-report -d 'List what could neither go nor be returned, and why'
complete -c mailroot -n "not __fish_seen_subcommand_from $commands" -a badmail-requeue -d 'Send again what is in Badmail'
complete -c mailroot -n "not __fish_seen_subcommand_from $commands" -a config-check -d 'Validate the configuration and print what is in force'
complete -c mailroot -n "not __fish_seen_subcommand_from $commands" -a mx-lookup -d 'Print where mail for a name goes'
complete -c mailroot -n "not __fish_seen_subcommand_from $commands" -a pickup-drain -d 'Send what lies in Pickup, once'
complete -c mailroot -n "not __fish_seen_subcommand_from $commands" -a queue-remove -d 'Take messages out of Queue'
complete -c mailroot -n "not __fish_seen_subcommand_from $commands" -a queue-report -d 'List what waits in Queue, for whom, why and until when'
complete -c mailroot -n "not __fish_seen_subcommand_from $commands" -a queue-retry -d 'Attempt what is due in Queue, once'
complete -c mailroot -n "not __fish_seen_subcommand_from $commands" -a send -d 'Compose or pass on one message'
complete -c mailroot -n "not __fish_seen_subcommand_from $commands" -a serve -d 'Run the SMTP server and the delivery loop'

complete -c mailroot -n '__fish_seen_subcommand_from badmail-report badmail-requeue config-check mx-lookup pickup-drain queue-remove queue-report queue-retry send' -l json -d 'Print JSON'
complete -c mailroot -n '__fish_seen_subcommand_from badmail-report badmail-requeue' -a '(__mailroot_ids Badmail bad)' -d Message
complete -c mailroot -n '__fish_seen_subcommand_from queue-remove queue-report queue-retry' -a '(__mailroot_ids Queue eml)' -d Message

complete -c mailroot -n '__fish_seen_subcommand_from pickup-drain' -l wait -x -d 'How long a file has to stay as it is'
complete -c mailroot -n '__fish_seen_subcommand_from pickup-drain queue-retry' -l dry-run -d 'Print what would be attempted, send nothing'
complete -c mailroot -n '__fish_seen_subcommand_from badmail-requeue queue-remove' -l all -d 'All messages there are'
complete -c mailroot -n '__fish_seen_subcommand_from badmail-requeue queue-remove' -l dry-run -d 'Print their ids, change nothing'
complete -c mailroot -n '__fish_seen_subcommand_from queue-retry' -l all -d 'Attempt all that waits, due or not'

complete -c mailroot -n '__fish_seen_subcommand_from send' -l from -x -d 'The sender'
complete -c mailroot -n '__fish_seen_subcommand_from send' -l to -x -d 'Recipients'
complete -c mailroot -n '__fish_seen_subcommand_from send' -l cc -x -d 'Further recipients'
complete -c mailroot -n '__fish_seen_subcommand_from send' -l bcc -x -d 'Recipients that no header names'
complete -c mailroot -n '__fish_seen_subcommand_from send' -l subject -x -d 'The subject'
complete -c mailroot -n '__fish_seen_subcommand_from send' -l text -x -d 'The text'
complete -c mailroot -n '__fish_seen_subcommand_from send' -l header -x -d 'A further header field'
complete -c mailroot -n '__fish_seen_subcommand_from send' -s t -d 'Read a whole message from standard input'
complete -c mailroot -n '__fish_seen_subcommand_from send' -l via -x -a 'pickup smtp' -d 'How it is handed over'
complete -c mailroot -n '__fish_seen_subcommand_from send' -l server -x -d 'The SMTP server, HOST:PORT'

complete -c mailroot -n '__fish_seen_subcommand_from serve' -l listen -x -d 'Where SMTP is served, ADDRESS:PORT'
