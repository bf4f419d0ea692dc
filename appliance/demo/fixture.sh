#!/bin/bash
# Makes appliance/demo/fixture.trace: a small ext4 file system and what everyday work writes to it, step by step.
# Needs root (loop mount), mkfs.ext4, python3 and Go. Run from the root of the repository.
set -euo pipefail
export LC_ALL=C
work=$(mktemp -d)
trap 'mountpoint -q "$work/mnt" && umount "$work/mnt"; rm -rf "$work"' EXIT
mkdir "$work/mnt"
truncate -s 128M "$work/disk.img"
mkfs.ext4 -q -b 4096 -J size=8 -E lazy_itable_init=0,lazy_journal_init=0,nodiscard -L weir-demo \
  -U 6f1d0f5e-3c0e-4a57-9c3b-0d1c2b3a4f50 "$work/disk.img"
mount -o loop "$work/disk.img" "$work/mnt"
m=$work/mnt
steps=()
keep() {
  sync -f "$m"
  cp --sparse=always "$work/disk.img" "$work/$1"
  steps+=("$1=$work/$1")
}

python3 - "$m" <<'PY'
import os, random, struct, sys
m, r = sys.argv[1], random.Random(1)
words = [''.join(r.choice('bcdfghjklmnprstvw') + r.choice('aeiou') for _ in range(r.randint(1, 4))) for _ in range(900)]
def text(n):
    out, size = [], 0
    while size < n:
        line = ' '.join(r.choice(words) for _ in range(r.randint(3, 11)))
        out.append(line); size += len(line) + 1
    return '\n'.join(out) + '\n'
for d in range(12):
    p = f'{m}/project/part{d:02d}'; os.makedirs(p)
    for f in range(24):
        open(f'{p}/file{f:02d}.txt', 'w').write(text(int(r.paretovariate(1.2) * 1500) % 40000 + 200))
os.makedirs(f'{m}/etc')
for i in range(60):
    open(f'{m}/etc/service{i:02d}.conf', 'w').write(''.join(f'{w} = {r.randint(0, 999)}\n' for w in r.sample(words, 25)))
with open(f'{m}/table.db', 'wb') as db:  # 64-byte records in 4 KiB pages
    for i in range(32768):
        db.write(struct.pack('<QQI', i, i * 2654435761 % 2**32, r.randint(0, 500)) + b'open'.ljust(12) + r.choice(words).encode().ljust(32, b' '))
open(f'{m}/app.log', 'w').write(''.join(f'2026-11-01T10:00:{i % 60:02d} info request {i} done in {r.randint(1, 90)} ms\n' for i in range(8000)))
PY
keep image
find "$m/project" -name 'file*1*.txt' -exec touch -d '2026-11-02 08:00' {} +
keep touch
chmod -R g-w,o-r "$m/project" "$m/etc"
keep chmod
sed -i '5s/= .*/= 4711/' "$m"/etc/*.conf
keep edit
python3 - "$m/table.db" <<'PY'
import random, struct, sys
r = random.Random(2)
with open(sys.argv[1], 'r+b') as db:
    for _ in range(600):
        db.seek(r.randrange(32768) * 64 + 16); db.write(struct.pack('<I', r.randint(0, 500)) + b'closed'.ljust(12))
PY
keep update
for i in $(seq 1 400); do echo "2026-11-01T10:01:$((i % 60)) info request $((8000 + i)) done in $((i * 7 % 90)) ms"; done >>"$m/app.log"
keep log
cp -r "$m/project/part03" "$m/project/part03.bak"
keep copy
rm -r "$m/project/part07"
keep delete
umount "$m"
sync -f "$work"
steps+=("unmount=$work/disk.img")
e2fsck -fn "$work/disk.img" >/dev/null
go run ./appliance/demo/mktrace appliance/demo/fixture.trace "${steps[@]}"
