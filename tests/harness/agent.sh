# The tests' hand inside the box: reads "ID BASE64-COMMAND" lines from a virtio-serial port, runs each with bash as root, and
# answers "ID EXIT-CODE BASE64-OUTPUT" (standard output and error in one). It is not part of the image: the machine's
# firmware strings bring it in, which a release image ignores.
until [[ -e /dev/virtio-ports/colca.test.0 ]]; do sleep 0.5; done
exec 3<>/dev/virtio-ports/colca.test.0
folder=$(mktemp -d)
run() {
	bash -c "$(base64 -d <<< "$2")" < /dev/null > "$folder/$1" 2>&1 3>&-
	code=$?
	{ flock 4; echo "$1 $code $(base64 -w0 "$folder/$1")" >&3; } 4> "$folder/lock"
	rm "$folder/$1"
}
echo ready >&3
while true; do
	# Nobody at the other end reads as end of file.
	read -r id command <&3 || { sleep 0.5; continue; }
	run "$id" "$command" &
done
