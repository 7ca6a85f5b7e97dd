# The C compiler proper: $2 is its path, $3 a folder of preprocessed sources. It prints assembler text.
. "${0%/*}/data.sh"
work=$PWD
cd "$3" || exit 1
for source in *.i; do
  for options in -O2; do
    "$2" -quiet -fpreprocessed $options -o "$work/out.s" "$source" && digest "$source $options" < "$work/out.s"
  done
done
