#!/bin/sh
# HAProxy as Ray Serve starts it, by RAY_SERVE_HAPROXY_BINARY_PATH (see haproxy.py).
#
# Changes three things in the configuration that Ray has written: the pages with statistics and
# metrics are for this machine only, requests say from whose address they come, and no access log
# with numbers in its paths goes to a syslog.
previous=
for argument; do
    if [ "$previous" = -f ]; then
        sed -i \
            -e "s/^\( *bind \)\*\{0,1\}:\($RAY_SERVE_HAPROXY_STATS_PORT\|$RAY_SERVE_HAPROXY_METRICS_PORT\)\$/\1127.0.0.1:\2/" \
            -e 's/^defaults$/defaults\n    option forwardfor/' \
            -e '/^ *log [^g]/d' \
            "$argument" || exit 1
    fi
    previous=$argument
done
exec "$GATEWAY_HAPROXY" "$@"
