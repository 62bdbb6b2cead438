# Completion of mailroot(1) for bash.

# The folder that --root, else MAILROOT, else the default names.
_mailroot_root() {
    local i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            --root)
                [[ ${COMP_WORDS[i + 1]} == '=' ]] && ((i++))
                printf '%s' "${COMP_WORDS[i + 1]/#\~/$HOME}"
                return
                ;;
        esac
    done
    printf '%s' "${MAILROOT:-/var/spool/mailroot}"
}

# Ids of the messages in a folder: Queue eml, Badmail bad.
_mailroot_ids() {
    local file
    for file in "$(_mailroot_root)/$1"/*."$2"; do
        [[ -e $file ]] || continue
        file=${file##*/}
        printf '%s\n' "${file%."$2"}"
    done
}

# The subcommand on the line, if it is there already.
_mailroot_command() {
    local i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            --root | --config | --set)
                # bash takes `--root=DIR` apart at the equals sign.
                [[ ${COMP_WORDS[i + 1]} == '=' ]] && ((i++))
                ((i++))
                ;;
            -*) ;;
            *) printf '%s' "${COMP_WORDS[i]}" && return ;;
        esac
    done
}

_mailroot() {
    local word=$2 before=$3 command flags='' words=''
    local globals='--root --config --set -v -q --version --help'
    local commands='badmail-report badmail-requeue config-check mx-lookup pickup-drain queue-remove
        queue-report queue-retry send serve'
    COMPREPLY=()

    if [[ $word == '=' ]]; then
        word=''
    elif [[ $before == '=' ]]; then
        before=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    case $before in
        --root | --config)
            compopt -o filenames 2>/dev/null
            [[ $before == --root ]] && flags=-d || flags=-f
            mapfile -t COMPREPLY < <(compgen "$flags" -- "$word")
            return
            ;;
        --via)
            mapfile -t COMPREPLY < <(compgen -W 'pickup smtp' -- "$word")
            return
            ;;
        --set | --listen | --wait | --from | --to | --cc | --bcc | --subject | --text | --header | \
            --server) return ;;
    esac

    command=$(_mailroot_command)
    case $command in
        '') words=$commands flags=$globals ;;
        badmail-report)
            flags='--json --help'
            [[ $word == -* ]] || words=$(_mailroot_ids Badmail bad)
            ;;
        badmail-requeue)
            flags='--all --dry-run --json --help'
            [[ $word == -* ]] || words=$(_mailroot_ids Badmail bad)
            ;;
        config-check) flags='--json --help' ;;
        mx-lookup) flags='--json --help' ;;
        pickup-drain) flags='--wait --dry-run --json --help' ;;
        queue-remove)
            flags='--all --dry-run --json --help'
            [[ $word == -* ]] || words=$(_mailroot_ids Queue eml)
            ;;
        queue-report)
            flags='--json --help'
            [[ $word == -* ]] || words=$(_mailroot_ids Queue eml)
            ;;
        queue-retry)
            flags='--all --dry-run --json --help'
            [[ $word == -* ]] || words=$(_mailroot_ids Queue eml)
            ;;
        send)
            flags='--from --to --cc --bcc --subject --text --header -t --via --server --json --help'
            ;;
        serve) flags='--listen --help' ;;
    esac
    [[ -z $command || $flags == '' ]] || flags+=" --root --config --set -v -q"
    [[ $word == -* ]] && words=$flags
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

complete -F _mailroot mailroot
