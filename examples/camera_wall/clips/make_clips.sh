#!/usr/bin/env bash
# Makes the clips of the camera wall, in this folder: ten seconds each, which loop without a seam in the clock.
# Takes ffmpeg with libx264, libvpx and libopus, and the font of the Debian package fonts-dejavu-core.
#
# Every picture has a clock and a frame counter burnt in. A key frame comes every second. H.264 is constrained
# baseline without B frames, as a byte stream (Annex B); VP8 is in IVF; Opus is in Ogg, in packets of 20 ms.
set -euo pipefail
cd "$(dirname "$0")"

font=${FONT:-/usr/share/fonts/truetype/dejavu/DejaVuSansMono-Bold.ttf}
seconds=10

# label RATE NAME: the filter that burns in the name, the clock and the counter.
label() {
    local text="drawtext=fontfile=$font:fontcolor=white:box=1:boxcolor=black@0.55:boxborderw=8"
    printf '%s' "$text:fontsize=26:x=18:y=18:text='$2'," \
        "$text:fontsize=26:x=18:y=h-44:text='%{pts\\:hms}'," \
        "$text:fontsize=26:x=w-tw-18:y=h-44:text='%{eif\\:n\\:d\\:4}'," \
        "format=yuv420p"
}

# h264 FILE NAME RATE KBPS SOURCE
h264() {
    ffmpeg -hide_banner -loglevel error -y -f lavfi -i "$5" -t "$seconds" -r "$3" -vf "$(label "$3" "$2")" \
        -c:v libx264 -profile:v baseline -level 3.1 -preset veryslow -tune zerolatency -bf 0 \
        -g "$3" -keyint_min "$3" -sc_threshold 0 -b:v "$4k" -maxrate "$4k" -bufsize "$4k" \
        -bsf:v dump_extra,filter_units=remove_types=6 -f h264 "$1"
}

# vp8 FILE NAME RATE KBPS SOURCE
vp8() {
    ffmpeg -hide_banner -loglevel error -y -f lavfi -i "$5" -t "$seconds" -r "$3" -vf "$(label "$3" "$2")" \
        -c:v libvpx -deadline good -cpu-used 0 -auto-alt-ref 0 -lag-in-frames 0 \
        -g "$3" -keyint_min "$3" -b:v "$4k" -maxrate "$4k" -bufsize "$4k" -f ivf "$1"
}

# tone FILE HERTZ: a note that is struck every second and dies away.
tone() {
    ffmpeg -hide_banner -loglevel error -y -f lavfi \
        -i "aevalsrc='0.4*sin(2*PI*$2*t)*exp(-5*mod(t,1))*min(1,200*mod(t,1))':s=48000:d=$seconds" \
        -c:a libopus -b:a 24k -vbr off -frame_duration 20 -application audio -f ogg "$1"
}

h264 test_card.h264 'Test card' 25 330 "testsrc2=size=640x360:rate=25"
h264 fractal.h264 'Fractal' 30 380 \
    "mandelbrot=size=640x360:rate=30:start_scale=1.5:end_scale=0.02:end_pts=300:start_x=-0.745:start_y=0.113:maxiter=900"
vp8 life.ivf 'Life' 25 330 \
    "life=size=160x90:rate=25:mold=12:ratio=0.12:seed=7:death_color=#0b1f4a:life_color=#ffd166:mold_color=#26c485,scale=640:360:flags=neighbor"
vp8 aurora.ivf 'Aurora' 30 300 \
    "gradients=size=640x360:rate=30:nb_colors=5:seed=11:speed=0.02:c0=#06141f:c1=#0fa3b1:c2=#7bd389:c3=#5b2a86:c4=#f9c80e"
tone test_card.ogg 440
tone life.ogg 660

ls -l ./*.h264 ./*.ivf ./*.ogg
