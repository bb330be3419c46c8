# SPDX-License-Identifier: Apache-2.0
# Completion of vswitch-ctl for bash: commands and options from --help, names from the daemon when it answers.

_vswitch_ctl_names() {  # COMMAND: the names of what it lists; nothing when no daemon answers within a second
  vswitch-ctl --timeout 1 --json "$1" 2> /dev/null | sed -n 's/^ \{6\}"name": "\(.*\)",\{0,1\}$/\1/p'
}

_vswitch_ctl() {
  local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} commands command='' i
  commands=$(printf 'help\n' && vswitch-ctl --help | sed -n '/^Subcommands:/,/^$/s/^  \([a-z-]*\) .*/\1/p')
  for ((i = 1; i < COMP_CWORD; i++)); do
    [[ " ${commands//$'\n'/ } " == *" ${COMP_WORDS[i]} "* ]] && command=${COMP_WORDS[i]} && break
  done
  case $previous in
    --socket | --pcap) mapfile -t COMPREPLY < <(compgen -f -- "$word") && return ;;
    --rundir) mapfile -t COMPREPLY < <(compgen -d -- "$word") && return ;;
    --source | --src | -s | --output | --to | --dst | --destination | -o | --in-port) mapfile -t COMPREPLY < <(compgen -W "$(_vswitch_ctl_names list-ports)" -- "$word") && return ;;
  esac
  if [[ $word == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(vswitch-ctl ${command:+"$command"} --help | grep -oE -- '--[a-z-]+')" -- "$word")
  elif [[ -z $command || $command == help ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$word")
  elif ((COMP_CWORD == i + 1)) && [[ $command != @(set-port|del-port|show-port|who|version|release-devices|list-log|set-log|show-config|set-config|compact|backup|stats|check|metrics) ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(_vswitch_ctl_names list-br)" -- "$word")
  elif [[ $command == import-mirrors ]]; then
    mapfile -t COMPREPLY < <(compgen -f -- "$word")
  elif [[ $command == *-port || $command == who ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(_vswitch_ctl_names list-ports)" -- "$word")
  elif [[ $command == events ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(_vswitch_ctl_names list-mirrors) $(_vswitch_ctl_names list-ports)" -- "$word")
  elif [[ $command == *mirror* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(_vswitch_ctl_names list-mirrors)" -- "$word")
  fi
}

complete -F _vswitch_ctl vswitch-ctl
