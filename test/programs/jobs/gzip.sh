. "${0%/*}/data.sh"
words 1 9000 > text
numbers 2 9000 > figures
head -c 250000 /dev/zero > zeros
cat text figures zeros | head -c 300000 | tail -c 200000 > mixed
for level in 1 3 6 9; do
  gzip -n -$level -c text > text.$level.gz
  wc -c < text.$level.gz
  digest "text $level" < text.$level.gz
  gzip -dc text.$level.gz | cmp - text && echo "same text $level"
done
for name in figures zeros mixed; do
  gzip -n -c $name > $name.gz
  digest $name < $name.gz
  gzip -dc $name.gz | cmp - $name && echo "same $name"
done
cat text.1.gz figures.gz | gzip -dc | digest two-members
gzip -tv text.9.gz 2>&1
gzip -l text.9.gz zeros.gz
head -c 20000 text.9.gz | gzip -dc 2>&1 | digest truncated
printf 'no gzip' | gzip -dc 2>&1
gzip -n text && ls text.gz && gunzip text.gz && digest restored < text
gzip -n --rsyncable -c mixed | digest rsyncable
