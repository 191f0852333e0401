#!/bin/sh
# HAProxy as Ray Serve starts it, by RAY_SERVE_HAPROXY_BINARY_PATH (see haproxy.py).
#
# Changes what Ray has written in its configuration: the pages with statistics and metrics listen on
# sockets beside it that only its owner can open (a port could be taken, and HAProxy would not
# start), requests say from whose address they come and prove that it was HAProxy who said so, no
# access log with numbers in its paths goes to a syslog, who does not finish a request's headers
# within half a minute is sent away, a replica whose machine does not take a connection within 0.3 s
# (Ray's setting is of whole seconds) is passed by for another, requests at a replica that is called
# down are answered at once (they would wait as long as it stands still), and what HAProxy itself
# answers is 502 or 503 with Retry-After (Ray's would be 500, and 404 until the first replica is
# there). Ray's own proxy, the last resort, is asked every ten seconds whether it lives: each of its
# answers takes a millisecond. Bodies are copied, not spliced: while replicas stood still HAProxy
# 2.8.25 was seen to turn in a circle between a connection and its stream, a whole processor of it.
#
# Replicas of this machine are preferred (near.awk): what stays here no other machine can lose, and
# who asks this front whether it is ready hears of this machine. A request that may be repeated (it
# only reads, or has a key on a path where keys count) and whose replica died under it, or says that
# it does not reach PostgreSQL (425, between replica and HAProxy only), is tried at another one
# (repeatable.cfg).
#
# Its admin socket hands out listeners to whoever connects, callers' keys with them: it is its
# owner's alone (Ray's is everybody's), in a folder that nobody else can change.
umask 077
previous=
here=$(dirname "$0")
for argument; do
    if [ "$previous" = -f ]; then
        folder=$(dirname "$argument")
        if [ ! -O "$folder" ] || [ -n "$(find "$folder/.." -prune -perm /022 ! -perm -1000)" ]; then
            echo "others of this machine can replace $folder: HAProxy is not started" >&2
            exit 1
        fi
        chmod 700 "$folder" || exit 1
        sed -i \
            -e 's/^\( *stats socket .*\) mode 666 /\1 mode 600 /' \
            -e "s#^\( *bind \)\*\{0,1\}:$RAY_SERVE_HAPROXY_STATS_PORT\$#\1unix@$folder/s mode 600#" \
            -e "s#^\( *bind \)\*\{0,1\}:$RAY_SERVE_HAPROXY_METRICS_PORT\$#\1unix@$folder/m mode 600#" \
            -e 's/^defaults$/defaults\n    option forwardfor\n    timeout http-request 30s\n    timeout check 2s/' \
            -e 's/^\( *timeout connect\) .*$/\1 300ms/' \
            -e 's/^\( *default-server .*\)$/\1 on-marked-down shutdown-sessions/' \
            -e "s#^\( *errorfile 50[24]\) .*#\1 $here/interrupted.http#" \
            -e "s#^\( *errorfile 503\) .*#\1 $here/unavailable.http#" \
            -e 's/^\( *http-request return status\) 404 .*$/\1 503 default-errorfiles/' \
            -e "/^frontend http_frontend\$/r $here/repeatable.cfg" \
            -e "s/^frontend http_frontend\$/&\n    http-request set-header X-Gateway-Ingress $GATEWAY_INGRESS_SECRET/" \
            -e 's/^\( *server .* check backup\)$/\1 inter 10s/' \
            -e '/^ *option splice-/d' \
            -e '/^ *log [^g]/d' \
            "$argument" || exit 1
        # Without awk none is preferred.
        if near=$(awk -v own="$(hostname -I 2>/dev/null)" -f "$here/near.awk" "$argument"); then
            printf '%s\n' "$near" >"$argument"
        fi
    fi
    previous=$argument
done
# A connection takes two descriptors. Where a process may have fewer than Ray's 4096 connections need,
# and not raise that, HAProxy would not start: it takes fewer.
most=$(ulimit -H -n)
if [ "$most" != unlimited ] && [ "$most" -lt 8400 ]; then
    set -- -n $(((most - 100) / 2)) "$@"
fi
exec "$GATEWAY_HAPROXY" "$@"
