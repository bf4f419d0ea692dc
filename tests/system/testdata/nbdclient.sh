# Runs in the guest. NBD is the port of the door on the machine outside, 10.0.2.2.
for connections in 1 4; do
	nbd-client 10.0.2.2 $NBD /dev/nbd0 -N v$connections -C $connections >/dev/null
	grep -q 'write back' /sys/block/nbd0/queue/write_cache
	[ "$(cat /sys/block/nbd0/queue/discard_max_bytes)" != 0 ]
	out=$(/hammer -seconds 2 -writers 16 -seed $SEED /dev/nbd0) || {
		echo "v$connections: $out"
		dmesg | tail -n 30
		exit 1
	}
	echo "v$connections $out"
	nbd-client -d /dev/nbd0 >/dev/null
done
nbd-client 10.0.2.2 $NBD /dev/nbd0 -N readonly -C 2 >/dev/null
[ "$(cat /sys/block/nbd0/ro)" = 1 ]
echo "readonly sum=$(sha256sum </dev/nbd0 | cut -d' ' -f1)"
nbd-client -d /dev/nbd0 >/dev/null
