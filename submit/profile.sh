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
