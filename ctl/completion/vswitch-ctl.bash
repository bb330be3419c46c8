# SPDX-License-Identifier: Apache-2.0
# Completion of vswitch-ctl for bash. The tool itself knows what can follow.

_vswitch_ctl() {
  local words cword cur line lines=()
  if declare -F _get_comp_words_by_ref > /dev/null; then
    _get_comp_words_by_ref -n := cur words cword  # a source is t1:from
  else
    words=("${COMP_WORDS[@]}") cword=$COMP_CWORD cur=${COMP_WORDS[COMP_CWORD]}
  fi
  mapfile -t lines < <("${words[0]}" __complete "${words[@]:1:cword}" 2> /dev/null)
  case ${lines[0]-} in
    :files) compopt -o filenames 2> /dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    :directories) compopt -o filenames 2> /dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
  esac
  COMPREPLY=()
  for line in "${lines[@]}"; do
    printf -v line '%q' "${line%%$'\t'*}"
    COMPREPLY+=("$line")
  done
  if declare -F __ltrim_colon_completions > /dev/null; then __ltrim_colon_completions "$cur"; fi
}

complete -F _vswitch_ctl vswitch-ctl
