# SPDX-License-Identifier: Apache-2.0
# Completion of vswitch-ctl for fish. The tool itself knows what can follow.

function __vswitch_ctl_complete
    set -l words (commandline -opc)
    set -l word (commandline -ct)
    set -l lines (command vswitch-ctl __complete $words[2..-1] "$word" 2>/dev/null)
    switch "$lines[1]"
        case :files
            __fish_complete_path "$word"
        case :directories
            __fish_complete_directories "$word"
        case '*'
            printf '%s\n' $lines
    end
end

complete -c vswitch-ctl -f -a '(__vswitch_ctl_complete)'
