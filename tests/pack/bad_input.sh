#!/bin/sh
# Every bad input of lockstep pack: one line, the right exit code, nothing left behind.
#
#   LOCKSTEP=build/lockstep sh tests/pack/bad_input.sh
set -eu
. "$(cd "$(dirname "$0")" && pwd)/lib.sh"
pack() { refused "$1" "$2" "$3" "$4" "$lockstep" pack "$5" ${6+"$6"} ${7+"$7"} ${8+"$8"} ${9+"$9"}; }

make_cifar good 20
pack "no operand" 2 "expected cifar10" "" --force
pack "an unknown source" 2 "'mnist'" out mnist good out
pack "too few operands" 2 "SRC OUT" out cifar10 good
pack "too many operands" 2 "found 3 operands" out synthetic out more
pack "an unknown option" 2 "'--sharts'" out cifar10 good out --sharts=2
pack "no shards" 2 "--shards: expected a whole number between 1" out cifar10 good out --shards=0
pack "a word for a number" 2 "'many'" out cifar10 good out --shards=many
pack "an option of another source" 2 "--classes: has no meaning for pack cifar10" out cifar10 good out --classes=3
pack "--verify with --force" 2 "--force: has no meaning" "" --verify good --force
pack "more shards than images" 2 "at most 20" out cifar10 good out --shards=21
pack "too many textures" 2 "--classes: expected at most" out synthetic out --classes=999
pack "JPEGs without --size" 2 "expected --size" out images good out
pack "SRC is absent" 2 "nowhere: expected a readable folder" out cifar10 nowhere out
pack "SRC is a file" 2 "good/test_batch.bin: expected a readable folder" out cifar10 good/test_batch.bin out
mkdir empty
pack "SRC is empty" 2 "empty/data_batch_1.bin" out cifar10 empty out
pack "SRC is empty, JPEGs" 2 "empty: expected 1 to" out images empty out --size=16

make_cifar damaged 20
rm damaged/data_batch_3.bin
pack "a batch is missing" 2 "data_batch_3.bin" out cifar10 damaged out
head -c 3073 good/data_batch_3.bin >damaged/data_batch_3.bin
printf x >>damaged/data_batch_3.bin
pack "a batch is cut" 2 "whole records of 3073 bytes, found 3074" out cifar10 damaged out
: >damaged/data_batch_3.bin
pack "a batch is empty" 2 "found 0 bytes" out cifar10 damaged out
head -c 3073 good/data_batch_3.bin >damaged/data_batch_3.bin
printf '\012' | dd of=damaged/data_batch_3.bin bs=1 conv=notrunc 2>dd.txt
pack "a label outside the classes" 2 "data_batch_3.bin: record 0: expected a label from 0 to 9, found 10" out cifar10 damaged out
rm damaged/batches.meta.txt
pack "no class names" 2 "batches.meta.txt" out cifar10 damaged out
head -c 300 /dev/zero | tr '\0' n >damaged/batches.meta.txt
pack "a class name longer than the terminal" 2 "at most 255 bytes, found 300" out cifar10 damaged out

# JPEGs: nothing here needs a whole one, so that these tests need no encoder.
mkdir -p pictures/cat pictures/dog
printf 'no picture' >pictures/cat/1.jpg
printf 'no picture' >pictures/dog/1.JPEG
found=0
"$lockstep" pack images pictures out --size=16 --test-fraction=0.5 >out.txt 2>err.txt || found=$?
if [ $found = 2 ] && [ "$(grep -c '^lockstep: pictures/.*: expected a whole JPEG file' err.txt)" = 2 ] &&
    [ "$(tail -n 1 err.txt)" = "lockstep: pack: 2 damaged files, named above: mend or remove them" ] &&
    [ "$(wc -l <err.txt)" = 3 ] && [ ! -s out.txt ] && [ ! -e out ]; then
    passed "two broken JPEGs are both named"
else
    failed "two broken JPEGs are both named" err.txt
fi
mkdir -p many/cat
for n in 1 2 3 4 5 6 7 8 9; do for m in 0 1 2 3 4; do printf 'no picture' >many/cat/$n$m.jpg; done; done
"$lockstep" pack images many out --size=16 --test-fraction=0.5 --threads 2 >out.txt 2>err.txt || true
if [ "$(wc -l <err.txt)" = 21 ] && grep -q 'pack: 20 damaged files, named above, and perhaps more' err.txt; then
    passed "45 broken JPEGs are named up to a page"
else
    failed "45 broken JPEGs are named up to a page" err.txt
fi
pack "no test image" 2 "--test-fraction" out images pictures out --size=16 --test-fraction=0.1
printf x >pictures/dog/notes.txt
pack "a file that is no JPEG" 2 "notes.txt" out images pictures out --size=16
rm pictures/dog/notes.txt
printf x >pictures/list
pack "a file among the classes" 2 "pictures/list" out images pictures out --size=16
rm pictures/list
mkdir pictures/bird
pack "a class without images" 2 "bird: expected JPEG files" out images pictures out --size=16
rmdir pictures/bird
mkdir -p split/train split/test split/val
mkdir -p split/train/cat
pack "test/ and val/" 2 "one folder of test images beside train/, found test/ and val/" out images split out --size=16
rmdir split/val
mkdir split/valid
pack "test/ and valid/" 2 "found test/ and valid/" out images split out --size=16
rmdir split/valid
mkdir -p split/test/dog
printf x >split/train/cat/1.jpg
pack "a test class that is not trained" 2 "dog: expected a class of the training" out images split out --size=16

# Names that are in another encoding: of a folder, and of a text.
latin=$(printf 'caf\351')
mkdir -p names/cat "names/$latin"
printf x >names/cat/1.jpg
printf x >"names/$latin/1.jpg"
pack "a class name that is no UTF-8" 2 "expected a name in UTF-8, found 'caf\\xE9'" out images names out --size=16 --test-fraction=0.5
cp -r good latin
printf '%s\n' a b c d e f g h i "$latin" >latin/batches.meta.txt
pack "a class name that is no UTF-8, cifar10" 2 "class 9: expected a name in UTF-8, found 'caf\\xE9'" out cifar10 latin out

printf x >file
pack "OUT is a file" 2 "file" "" cifar10 good file
check "the file is still there" grep -q x file
pack "OUT below a file" 2 "file" "" cifar10 good file/below
long=$(head -c 5000 /dev/zero | tr '\0' x)
pack "OUT longer than a path" 2 "longer than 4095" "" cifar10 good "$long"

check "a data set" "$lockstep" pack cifar10 good made --shards 2
before=$(cat made/* | cksum)
pack "OUT holds a data set" 2 "--force" "" cifar10 good made
pack "a failure with --force" 2 "data_batch_1.bin" "" cifar10 empty made --force
mkdir bad && cp good/* bad/ && printf '\377' | dd of=bad/test_batch.bin bs=1 conv=notrunc 2>dd.txt
pack "a failure in the middle with --force" 2 "found 255" "" cifar10 bad made --force
[ "$before" = "$(cat made/* | cksum)" ] && passed "the old data set is untouched" || failed "the old data set is untouched" err.txt
check "--force replaces it" "$lockstep" pack cifar10 good made --force --shards 1
check "and leaves no old shard" sh -c '[ "$(ls -A made | tr "\n" " ")" = "manifest.h5 test-00000.h5 train-00000.h5 " ]'
check "which is whole" "$lockstep" pack --verify made

"$lockstep" pack --verify made >verified.txt
check "--verify says what it read" grep -q "100 images in 1 shard" verified.txt
printf x | dd of=made/train-00000.h5 bs=1 seek=100000 conv=notrunc 2>dd.txt
pack "--verify finds a flipped byte" 2 "made/train-00000.h5: /images: block 0" "" --verify made
rm made/test-00000.h5
pack "--verify finds a missing shard" 2 "train-00000.h5" "" --verify made
pack "--verify of nothing" 2 "nowhere" "" --verify nowhere
pack "--verify needs one folder" 2 "found 2 operands" "" --verify made good

refused "several tasks of srun" 3 "SLURM_STEP_NUM_TASKS=2" out \
    env SLURM_STEP_NUM_TASKS=2 SLURM_PROCID=0 "$lockstep" pack synthetic out
refused "several ranks of mpirun" 3 "OMPI_COMM_WORLD_SIZE=3" out \
    env OMPI_COMM_WORLD_SIZE=3 OMPI_COMM_WORLD_RANK=0 "$lockstep" pack synthetic out
found=0
env SLURM_STEP_NUM_TASKS=2 SLURM_PROCID=1 "$lockstep" pack synthetic out >out.txt 2>&1 || found=$?
[ $found = 3 ] && [ ! -s out.txt ] && passed "the other tasks say nothing" || failed "the other tasks say nothing" out.txt

# Root may write anywhere: another user is refused.
chmod 755 "$work"
mkdir locked && chmod 555 locked
if [ "$(id -u)" -ne 0 ]; then
    pack "OUT cannot be written to" 2 "can be written to" "" cifar10 good locked
elif command -v setpriv >/dev/null && setpriv --reuid 65534 --regid 65534 --clear-groups "$lockstep" --version >out.txt 2>&1; then
    refused "OUT cannot be written to" 2 "can be written to" "" \
        setpriv --reuid 65534 --regid 65534 --clear-groups "$lockstep" pack cifar10 good locked
else
    skipped "OUT cannot be written to" "this is root, and the binary is not for others"
fi

"$lockstep" pack --help >help.txt
check "--help names every option" sh -c 'for o in images test-images classes size seed test-fraction shards threads force verify; do grep -q -e "--$o" help.txt || exit 1; done'
finish
