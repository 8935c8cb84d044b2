#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# shell: the same commands, line by line.
. "$(dirname "$0")/lib.sh"

mkdir -p tree/sub/deep
echo one >tree/a
echo two >"tree/sub/with blank"
xn format -q disk.img --size 32M && xn mkfs -q disk.img --root home -d tree && xn mkfs -q disk.img --root work || exit 1

it "runs lines that are given, where cd led"
ok xn shell disk.img -c 'cd home/sub' -c pwd -c 'cat "with blank"' -c 'cat ../a' -c 'ls'
equal "$(cat out)" $'/home/sub\ntwo\none\ndeep\nwith blank'
ok xn shell disk.img -c ls -c 'cd /home/sub/deep/../..' -c pwd -c 'cd ..' -c pwd -c 'cd ../..' -c pwd
equal "$(cat out)" $'home\nwork\n/home\n/\n/'

it "runs the lines of a file and of a pipe, and passes over comments"
printf '# a comment\n\ncd home\nstat --json a\nquit\nls nosuch\n' >lines
ok xn shell disk.img -f lines
jq -e '.files[0].size_bytes == 4' out >/dev/null || complain "no JSON: $(cat out)"
ok xn shell disk.img <lines
try bash -c 'printf "cd work\npwd" | xn shell disk.img'
equal "$(cat out)" /work

it "ends at the first line that fails, and says so"
refused 1 'disk.img:/home/nosuch: No such file' xn shell disk.img -c 'cd home' -c 'cat nosuch' -c 'ls'
equal "$(cat out)" ''
refused 1 'frobnicate: it is no command here' xn shell disk.img -c frobnicate
refused 1 'it is no command here' xn shell disk.img -c 'mkfs --root x'
refused 1 'a quotation is not closed' xn shell disk.img -c 'ls "a'
refused 1 'Not a directory' xn shell disk.img -c 'cd /home/a'
refused 2 'unknown option' xn shell disk.img -c 'ls --nosuch'
refused 1 'nosuch.img' xn shell nosuch.img -c ls
refused 1 'nosuch: No such file' xn shell disk.img -f nosuch
printf 'ls /nosuch\npwd\n' | xn shell disk.img >out 2>err && complain "a failed line of a pipe gave 0"
[ -s out ] && complain "it went on"

it "changes nothing without -w"
refused_unchanged disk.img 1 'it changes the image; .*-w' xn shell disk.img -c 'mkdir /home/x'
refused_unchanged disk.img 1 'it changes the image' xn shell disk.img -c 'rm -r /home/sub'
refused_unchanged disk.img 1 'it changes the image' xn shell disk.img -c "cp $dir/tree/a :/home/b"
ok xn shell disk.img -c 'cd home' -c "cp :a $dir/copy" -c "export sub $dir/sub.tar"
cmp -s tree/a copy || complain "cp out gave something else"
[ -s sub.tar ] || complain "export gave nothing"

it "changes with -w"
ok xn shell -w disk.img -c 'cd work' -c 'mkdir -m 700 new' -c 'cd new' -c "cp $dir/tree/a :." \
	-c 'mv a b' -c 'ls'
ok xn shell -w disk.img -c 'cd /work/new' -c 'mkdir in' -c "import $dir/tree in" -c 'rm in/a' -c 'diff :in/sub :/home/sub'
ok xn cat disk.img /work/new/b
equal "$(cat out)" one
sound disk.img

it "leaves the image free between lines"
coproc shell { xn shell disk.img 2>&1; }
echo 'cd home' >&"${shell[1]}"
sleep 0.3
ok xn mkdir disk.img /home/meanwhile
echo 'ls' >&"${shell[1]}"
read -r -t 10 -u "${shell[0]}" line
equal "$line" a
eval "exec ${shell[1]}>&-"
wait

it "helps"
ok xn shell disk.img -c help
output_has '^  ls '
grep -q '^  rm ' out && complain "it offers what it refuses"
ok xn shell disk.img -w -c help
output_has '^  rm '
ok xn shell disk.img -c 'help ls'
output_has 'usage: xn ls'

it "completes commands and paths inside the image with a tab"
if command -v script >/dev/null; then
	mkdir -p tabs/docs "tabs/two words"
	echo from a tab >tabs/docs/readme.txt
	: >tabs/docs/recipe
	: >"tabs/two words/inner"
	xn format -q tabs.img --size 16M && xn mkfs -q tabs.img --root home -d tabs || exit 1
	# Slowly: what is typed while a command runs is not the line editor's.
	{
		printf 'ca\tho\tdo\treadm\t\n'
		sleep 0.5
		printf 'ls home/tw\t\n'
		sleep 0.5
		printf 'ls /home/docs/re\t\t\025'
		sleep 0.5
		printf 'cat nowhere/\tx\nquit\n'
		sleep 0.5
	} | timeout 60 script -qec 'xn shell tabs.img' /dev/null >typed 2>&1
	tr -d '\r' <typed >plain
	grep -qx 'from a tab' plain || complain "no file: $(cat -v typed)"
	grep -qx 'inner' plain || complain "no name with a blank: $(cat -v typed)"
	grep -qx 'recipe' plain || complain "no choice is shown: $(cat -v typed)"
fi

done_testing
