# Runs in the guest. NBD and SAFE are the doors of two gateways outside, the second of which requires TLS.
export XDG_CACHE_HOME=/tmp

code=0
weir volume attach v --device auto --nbd 10.0.2.2:$SAFE 2>/tmp/err || code=$?
[ $code = 5 ]
grep -q 'has no TLS' /tmp/err
echo tls refused

weir volume attach v --device auto --nbd 10.0.2.2:$NBD --stay >/tmp/device 2>/tmp/watch &
i=0
while [ ! -s /tmp/device ]; do
	i=$((i + 1))
	[ $i -lt 600 ] || { cat /tmp/watch; exit 1; }
	sleep 0.1
done
dev=$(cat /tmp/device)
echo "attached $dev"
[ "$(cat /sys/block/${dev#/dev/}/size)" = 262144 ]
[ "$(cat /sys/block/${dev#/dev/}/queue/logical_block_size)" = 512 ]

mkfs.ext4 -q $dev
mkdir -p /mnt/v
mount -t ext4 $dev /mnt/v
code=0
weir volume detach $dev 2>/tmp/err || code=$?
[ $code = 5 ]
echo mounted refused
dd if=/dev/urandom of=/tmp/random bs=1M count=24 2>/dev/null
for n in 1 2 3; do
	cp /tmp/random /mnt/v/random$n
	sync
done
echo 3 >/proc/sys/vm/drop_caches
want=$(sha256sum </tmp/random)
for n in 1 2 3; do
	[ "$(sha256sum </mnt/v/random$n)" = "$want" ]
done
echo same sum
umount /mnt/v
weir volume detach $dev
i=0
while [ -e /sys/block/${dev#/dev/}/pid ]; do
	i=$((i + 1))
	[ $i -lt 600 ]
	sleep 0.1
done
wait
echo detached
