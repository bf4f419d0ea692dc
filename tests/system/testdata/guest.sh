# Runs in the guest. ISCSI and NBD are the ports of the doors on the machine outside, 10.0.2.2.
wait_for() {
	i=0
	while [ ! -b "$1" ]; do
		i=$((i + 1))
		[ $i -lt 600 ]
		sleep 0.1
	done
}
node="-T iqn.2026-11.io.weir:i -p 10.0.2.2:$ISCSI,1"
iscsid
iscsiadm -m node -o new $node >/dev/null
iscsiadm -m node $node --login >/dev/null
nbd-client 10.0.2.2 $NBD /dev/nbd0 -N n -C 4 >/dev/null
wait_for /dev/sda

# The kernel sends flushes only when the volume says that it has a cache.
grep -q 'write back' /sys/block/sda/queue/write_cache
grep -q 'write back' /sys/block/nbd0/queue/write_cache
[ "$(cat /sys/block/sda/queue/discard_max_bytes)" != 0 ]

mkfs.ext4 -q /dev/sda
mkfs.xfs -q /dev/nbd0
mkdir /mnt/ext4 /mnt/xfs
mount -t ext4 -o discard /dev/sda /mnt/ext4
mount -t xfs -o discard /dev/nbd0 /mnt/xfs
for m in /mnt/ext4 /mnt/xfs; do
	cp -r /usr/sbin $m/sbin
	sqlite3 $m/t.db "pragma journal_mode=wal; create table t(id integer primary key,a,b);
		with recursive c(x) as (select 1 union all select x+1 from c where x<5000)
		insert into t select x, random(), hex(randomblob(40)) from c;" >/dev/null
	sqlite3 $m/t.db "update t set a=a+1 where id%40=7"
	dd if=/dev/urandom of=$m/random bs=1M count=8 2>/dev/null
	sync
	rm $m/sbin/xfs_repair
	sync
	echo 3 >/proc/sys/vm/drop_caches
	(
		cd $m
		find . -type f | xargs sha256sum | sed "s|^|${m##*/} |"
		for l in $(find . -type l); do echo "${m##*/} ->$(readlink $l) $l"; done
	)
	umount $m
done
e2fsck -fn /dev/sda >/dev/null
xfs_repair -n /dev/nbd0 >/dev/null 2>&1
iscsiadm -m node $node --logout >/dev/null
nbd-client -d /dev/nbd0 >/dev/null
