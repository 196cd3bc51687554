# profile NAME: fills the array "profile" with conf/spark/NAME.conf as spark-submit's options. To be sourced.
home=$(dirname -- "$here")
profile=()
profile() {
  local key value
  while read -r key value; do
    case $key in '' | \#*) continue ;; esac
    profile+=(--conf "$key=$value")
  done <"$home/conf/spark/$1.conf"
}

# command_of [spark-submit options] COMMAND …: the command, the first word after options and their values.
command_of() {
  while [ $# -gt 0 ]; do
    case $1 in
      --debug | --sized | --verbose | -v | --supervise | --*=*) shift ;;
      -*) shift 2 || return 0 ;;
      *) printf '%s' "$1"; return ;;
    esac
  done
}
