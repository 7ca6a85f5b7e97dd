exec sh "${0%/*}/awk-jobs.sh" "$1" mawk
