#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Every program has a page, and its page and completion have every option that its --help has.
. "$XN_SOURCE/tests/images/lib.sh"

command -v scdoc >/dev/null || skip "scdoc is not installed"

# Where the build put NAME, one of a page or a completion.
built() { find "$XN_BUILD" -path "*/$1/$2" -not -path '*/_CPack_Packages/*' | head -1; }

# The options in a text, one a line; what follows a description's first words is prose.
options() { grep -v 'called by' | grep -oE '(^ *|[][|(]|, |\.\.\. )--?[a-zA-Z][-a-zA-Z]*' |
	grep -oE -- '--?[a-zA-Z][-a-zA-Z]*$' | sort -u; }

# A page as text, without its markup.
plain() { tr -d '\\' <"$1" | sed 's/[*_]//g'; }

# has FILE WORD: as a word of its own.
has() { grep -qE -- "(^|[^-a-zA-Z])$2([^-a-zA-Z]|$)" "$1"; }

it "has a page for every program, and no program without one"
programs=$(sed -nE 's/^.*install\(TARGETS ([^)]*) RUNTIME.*/\1/p' \
	"$XN_SOURCE"/{images,fsck,fuse-bridge,udf/tool,tests/crash}/CMakeLists.txt)
[ "$(echo "$programs" | wc -w)" -ge 6 ] || complain "programs: $programs"
for program in ${programs/xn_program/xn} mkfs.xn; do
	page=$(built man "$program.[1-8]")
	[ -s "$page" ] || complain "$program has no page"
	grep -q '^\.TH' "$page" || complain "$page is no page"
	[ -s "$(built completion "$program")" ] || complain "$program has no completion"
done
for name in mount.xn mount.fuse.xn umount.xn umount.fuse.xn fsck.xn fsck.fuse.xn; do
	[ -L "$(built man8 "$name.8.gz")" ] || complain "$name has no page"
done

it "explains every option of --help, and completes it"
count=0
while read -r program source; do
	ok "$XN_BIN/$program" --help
	plain "$XN_SOURCE/$source" >page
	for option in $(options <out); do
		count=$((count + 1))
		has page "$option" || complain "$source does not know $option"
		has "$(built completion "$program")" "$option" || complain "completion of $program: no $option"
	done
done <<'END'
xn-fsck fsck/xn-fsck.8.scd
xn-fuse fuse-bridge/xn-fuse.8.scd
xn-crashtest tests/crash/xn-crashtest.1.scd
xn-tmpl udf/tool/xn-tmpl.1.scd
xn-udf-vm udf/tool/xn-udf-vm.1.scd
mkfs.xn images/mkfs.xn.8.scd
END
[ $count -gt 50 ] || complain "only $count options"

it "explains every word of xn-fuse -o, and completes it"
ok "$XN_BIN/xn-fuse" --help
words=$(sed -nE '/^Words of -o/,/^[A-Z]/s/^  ([a-z_]+).*/\1/p' out)
[ "$(echo "$words" | wc -l)" -gt 10 ] || complain "words: $words"
sed 's/\\//g; s/[*]//g' "$XN_SOURCE/fuse-bridge/xn-fuse.8.scd" >page
for word in $words; do
	grep -qE "^$word|, $word" page || complain "the page does not know $word"
	has "$(built completion xn-fuse)" "$word" || complain "completion does not know $word"
done

it "explains every option of every command of xn, and completes it"
sed 's/\\//g; s/[*]//g; s/^##/\n##/' "$(built man xn.1.scd)" >page
sed -n '/^# OPTIONS/,/^## /p' page >common
"$XN_BIN/xn" help | sed -nE 's/^  ([a-z][-a-z]*) +.*/\1/p' >commands
[ "$(wc -l <commands)" -gt 25 ] || complain "commands: $(cat commands)"
while read -r command; do
	grep -qE "^[^#]*\b$command\b" page || complain "the page does not know $command"
	ok "$XN_BIN/xn" help "$command"
	sed -n "/^## xn $command$/,/^\(## \|# \)[^x]/p" page | sed '1d;/^##* /,$d' >section
	words=$(sed -nE "s/^\t$command\) words='(.*)' ;;/\1/p" "$(built completion xn)" | head -1)
	sed -n '/^options:/,$s/^  .\{26\}.*/&/p' out | cut -c1-26 | options >said
	for option in $(cat said); do
		case " $words " in *" $option "*) ;; *) complain "completion of xn $command: no $option" ;; esac
		has section "$option" || has common "$option" || complain "the page has no $option of $command"
	done
done <commands

it "completes in a shell"
complete_line() { # words of a line; prints what would be offered for the last one
	bash --norc -c '. "$1"; shift; COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
		function=$(complete -p "${COMP_WORDS[0]}" | sed "s/.*-F \([^ ]*\).*/\1/")
		compopt() { :; }
		$function; printf "%s\n" "${COMPREPLY[@]}"' bash "$(built completion "$1")" "$@"
}
for line in 'xn ma=map' 'xn mkfs img --qu=--quota' 'xn ls --color al=always' 'xn-fuse img mnt -o ro,all=ro,allow_other' \
	'xn-fsck --j=--json' 'xn-tmpl ch=check' 'mkfs.xn --la=--label' 'xn-crashtest --see=--seed'; do
	# shellcheck disable=SC2086
	complete_line ${line%%=*} | grep -qxF -- "${line#*=}" || complain "$line: $(complete_line ${line%%=*} | tr '\n' ' ')"
done

it "has the format as a page that says all that FORMAT.md says"
format=$(built man xn-format.5.scd)
sed 's/\\\\/ /g; s/\\//g; s/[*]//g' "$format" | tr -c 'a-zA-Z0-9_\n' '\n' | grep . | sort | uniq -c >page.words
sed 's/`//g; s/[*]//g' "$XN_SOURCE/FORMAT.md" | tr -c 'a-zA-Z0-9_\n' '\n' | grep . | sort | uniq -c >file.words
equal "$(awk 'NR == FNR { n[tolower($2)] += $1; next } { m[tolower($2)] += $1 }
	END { for (w in m) if (n[w] < m[w]) print w, n[w], m[w] }' page.words file.words |
	grep -vE '^(what|is|on|an|xn|disk) ' | head -5)" ""

it "renders without a warning"
if command -v groff >/dev/null; then
	find "$XN_BUILD" -path '*/man/*.[1-8]' -not -path '*/_CPack_Packages/*' | while read -r page; do
		groff -K utf8 -man -Tutf8 -ww -wall "$page" 2>&1 >/dev/null | head -2
	done >warnings
	[ ! -s warnings ] || complain "$(head -5 warnings)"
fi

done_testing
