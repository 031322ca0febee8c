"""`audioctl completion`: scripts for shells, which ask `audioctl __complete` what may follow.

Invariant: a script knows nothing of audioctl's words, so it fits every version.
"""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from audiod_client.cli.context import Context

__all__ = ["SCRIPTS", "completion"]

BASH = r"""# audioctl for bash: source <(audioctl completion bash)
_audioctl() {
	local line=${COMP_LINE:0:COMP_POINT} cur reply
	local -a words
	read -a words <<<"$line"
	[[ $line == *[[:space:]] ]] && words+=("")
	cur=${words[-1]}
	COMPREPLY=()
	while IFS=$'\t' read -r reply _; do
		if [[ $reply == :files ]]; then
			compopt -o filenames 2>/dev/null
			mapfile -t COMPREPLY < <(compgen -f -- "$cur")
			return
		fi
		printf -v reply %q "$reply"
		# readline replaces only what follows the last of its word breaks
		COMPREPLY+=("${reply#"${cur%"${cur##*[:@=]}"}"}")
	done < <("${words[0]}" __complete "${words[@]:1}" 2>/dev/null)
}
complete -F _audioctl audioctl
"""

ZSH = r"""#compdef audioctl
# audioctl for zsh: source <(audioctl completion zsh), or a file _audioctl on the fpath
_audioctl() {
	local -a lines shown
	local line
	lines=("${(@f)$("${(Q)words[1]}" __complete "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
	if [[ $lines[1] == :files ]]; then
		_files
		return
	fi
	for line in "${(@)lines}"; do
		[[ -n $line ]] && shown+=("${${line%%$'\t'*}//:/\\:}:${${line#*$'\t'}:-}")
	done
	_describe -V audioctl shown
}
if [[ $funcstack[1] == _audioctl ]]; then
	_audioctl "$@"
else
	compdef _audioctl audioctl
fi
"""

FISH = r"""# audioctl for fish: audioctl completion fish | source
function __audioctl_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l found (command $words[1] __complete $words[2..-1] 2>/dev/null)
    if test "$found[1]" = :files
        __fish_complete_path (commandline -ct)
    else
        printf '%s\n' $found
    end
end
complete -c audioctl -f -a '(__audioctl_complete)'
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def completion(
    shell: Literal["bash", "zsh", "fish"], /, *, context: Annotated[Context, Parameter(parse=False)]
) -> None:
    """Print a script that completes audioctl's words: `source <(audioctl completion bash)`.

    Parameters
    ----------
    shell
        bash, zsh or fish; for fish: `audioctl completion fish | source`.
    """
    print(SCRIPTS[shell], end="")
