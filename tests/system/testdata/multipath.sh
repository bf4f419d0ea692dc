# Runs in the guest. A and B are the ports of two portals of one target on the machine outside, 10.0.2.2, which break and
# come back; DONE is a port that says "done" when all of that has happened.
mkdir -p /run/udev /etc/multipath /var/lib/multipath
ln -s /usr/bin/udevadm /systemd-udevd
/systemd-udevd --daemon
udevadm trigger
cat >/etc/multipath.conf <<CONF
defaults {
	find_multipaths no
	polling_interval 1
	max_polling_interval 1
	user_friendly_names yes
	path_grouping_policy multibus
	no_path_retry queue
}
CONF
multipathd
iscsid
for port in $A $B; do
	node="-T iqn.2026-11.io.weir:v -p 10.0.2.2:$port,1"
	iscsiadm -m node -o new $node >/dev/null
	for setting in node.session.timeo.replacement_timeout=1 node.conn[0].timeo.noop_out_interval=1 \
		node.conn[0].timeo.noop_out_timeout=2 node.conn[0].timeo.login_timeout=3; do
		iscsiadm -m node -o update $node -n ${setting%=*} -v ${setting#*=}
	done
	iscsiadm -m node $node --login >/dev/null
done
paths() { multipathd show paths format '%t %T' 2>/dev/null | grep -c '^active *ready' || true; }
i=0
until [ -b /dev/mapper/mpatha ] && [ "$(paths)" = 2 ]; do
	i=$((i + 1))
	[ $i -lt 600 ] || { multipathd show paths; multipath -ll; dmesg | tail; exit 1; }
	sleep 0.1
done
dmsetup table mpatha | grep -q ' 1 alua '
[ "$(ls -d /sys/block/sd* | wc -l)" = 2 ]
until nc 10.0.2.2 $DONE </dev/null | grep -q done; do
	out=$(/hammer -seconds 3 -seed $SEED /dev/mapper/mpatha) || {
		echo "v $out"
		multipath -ll
		dmesg | tail -n 30
		exit 1
	}
	echo "v $out"
done
