# What each part of `burst bots` did to the host of the bots and to the callers of others:
#
#   awk -F '\t' -f phases.awk bots.tsv others.tsv
function sorted(values, n,    i, j, value) {
    for (i = 2; i <= n; i++) {
        value = values[i]
        for (j = i - 1; j >= 1 && values[j] > value; j--) values[j + 1] = values[j]
        values[j + 1] = value
    }
}
function share(all, phase, n, at,    i, values) {
    if (!n) return "-"
    for (i = 1; i <= n; i++) values[i] = all[phase, i] + 0
    sorted(values, n)
    return values[int((n - 1) * at) + 1]
}
function both(all, phase, n) { return share(all, phase, n, 0.5) " / " share(all, phase, n, 1) }

NR == FNR {
    n = ++seconds[$5]; phase_at[$1] = $5
    refused[$5, n] = $2; memory[$5, n] = $3; connections[$5, n] = $6; pokes[$5, n] = $7; probes[$5, n] = $8
    if (!first) first = $1
    next
}
{
    second = int($1)
    phase = second < first ? "before" : (second in phase_at) ? phase_at[second] : (second - 1 in phase_at) ? phase_at[second - 1] : "after"
    n = ++calls[phase]
    middle[phase, n] = $2; tail[phase, n] = $3
}
END {
    row = "%-12s %8s %18s %18s %16s %14s %16s %14s\n"
    print "each second, median / highest; latencies are those of the others' callers, in ms"
    printf row, "", "seconds", "p50", "p99", "refused", "connections", "pokes", "probes"
    count = split("before registering calling settling after", order, " ")
    for (i = 1; i <= count; i++) {
        phase = order[i]; n = seconds[phase] + 0; m = calls[phase] + 0
        printf row, phase, n ? n : m, both(middle, phase, m), both(tail, phase, m), both(refused, phase, n), both(connections, phase, n), \
            both(pokes, phase, n), both(probes, phase, n)
        if (n) top = share(memory, phase, n, 1) > top ? share(memory, phase, n, 1) : top
    }
    printf "memory at most %.1f MiB\n", top / 1024
}
