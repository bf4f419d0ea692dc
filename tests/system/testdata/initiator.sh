# Runs in the guest. ISCSI is the port of the door on the machine outside, 10.0.2.2, and CUT one that cuts connections
# on the way to it.

# node TARGET PORT [SETTING VALUE]... describes a target to the initiator.
node() {
	node="-T iqn.2026-11.io.weir:$1 -p 10.0.2.2:$2,1"
	shift 2
	iscsiadm -m node -o new $node >/dev/null
	while [ $# -gt 0 ]; do
		iscsiadm -m node -o update $node -n "$1" -v "$2"
		shift 2
	done
}
# attach ... logs in and sets disk.
attach() {
	node "$@"
	iscsiadm -m node $node --login >/dev/null
	i=0
	until disk=$(ls -d /sys/class/iscsi_session/session*/device/target*/*/block/* 2>/dev/null); do
		i=$((i + 1))
		[ $i -lt 600 ]
		sleep 0.1
	done
	disk=/dev/${disk##*/}
}
# refused ... is a login that must not succeed.
refused() {
	node "$@"
	if iscsiadm -m node $node --login >/dev/null 2>&1; then
		echo "login to $1 succeeded"
		exit 1
	fi
	iscsiadm -m node -o delete $node
}
detach() {
	iscsiadm -m node $node --logout >/dev/null
	iscsiadm -m node -o delete $node
}
# work NAME SECONDS lets the hammer work on the disk.
work() {
	out=$(/hammer -seconds $2 -seed $SEED $disk) || {
		echo "$1: $out"
		dmesg | tail -n 30
		exit 1
	}
	echo "$1 $out"
}
auth=node.session.auth.
conn=node.conn[0].iscsi.
one="${auth}authmethod CHAP ${auth}username guest ${auth}password"

iscsid

attach plain $ISCSI
work plain 2
detach

attach chap $ISCSI $one secret-of-the-guest
work chap 1
detach
refused chap $ISCSI $one not-the-secret
refused chap $ISCSI

two="${auth}username_in target ${auth}password_in"
attach mutual $ISCSI $one secret-of-the-guest $two secret-of-target ${conn}HeaderDigest CRC32C ${conn}DataDigest CRC32C
[ "$(cat /sys/class/iscsi_connection/connection*/header_digest)" = 1 ]
[ "$(cat /sys/class/iscsi_connection/connection*/data_digest)" = 1 ]
work mutual 2
detach
refused mutual $ISCSI $one secret-of-the-guest $two not-the-targets

# Connections break in the middle of writes. The kernel logs in again and repeats what was not answered.
attach cut $CUT node.conn[0].timeo.noop_out_interval 1 node.conn[0].timeo.noop_out_timeout 2
work cut 8
detach
