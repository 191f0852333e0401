# Reads HAProxy's configuration; `own`: this machine's addresses. Writes it with rules by which
# replicas of this machine are asked first, the one with the least under way, until each has sixteen
# requests; then, as without the rules, whichever of all has the least.
BEGIN {
    count = split(own, list)
    for (i = 1; i <= count; i++) mine[list[i]] = 1
}
/^backend / { backend = $2 }
/^ *server [^ ]+ [^ ]+ check/ && !/ backup/ {
    address = $3
    sub(/:[0-9]+$/, "", address)
    if (address in mine) near[backend] = near[backend] " " $2
    else far[backend] = 1
}
{ lines[NR] = $0 }
END {
    for (i = 1; i <= NR; i++) {
        print lines[i]
        split(lines[i], words)
        if (words[1] != "backend" || !(words[2] in near) || !(words[2] in far)) continue
        count = split(near[words[2]], servers)
        for (most = (count > 1 ? 1 : 16); most <= 16; most *= 2)
            for (j = 1; j <= count; j++)
                print "    use-server " servers[j] " if { srv_conn(" words[2] "/" servers[j] ") lt " most " }"
    }
}
