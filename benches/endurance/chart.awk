# Draws what benches/endurance/run measured, as one SVG that is legible in light and dark:
#
#   awk -f chart.awk faults.tsv samples.tsv
#
# Seconds are gathered into at most 360 stretches; of each, memory, handles and latency show their highest.
BEGIN {
    FS = "\t"
    left = 56; right = 848; top = 64; high = 96; apart = 44
}
NR == FNR { name[++faults] = $1; from[faults] = $2; to[faults] = $3; next }
$1 >= 0 { last = $1; row[++rows] = $0 }

function x(second) { return left + (right - left) * second / whole }
function y(panel, share) { return top + panel * (high + apart) + high * (1 - share) }
# Draws a line; a gap where there is nothing, as while the process does not run.
function line(panel, class, values, most, logarithmic,    i, path, pen, share) {
    pen = "M"
    for (i = 0; i < stretches; i++) {
        if (!(i in values)) { pen = "M"; continue }
        share = logarithmic ? (log(values[i]) - log(least)) / (log(most) - log(least)) : values[i] / most
        share = share < 0 ? 0 : share > 1 ? 1 : share
        path = path sprintf("%s%.1f %.1f", pen, x((i + 0.5) * width), y(panel, share))
        pen = "L"
    }
    printf "<path class=\"%s\" d=\"%s\"/>\n", class, path
}
function tick(panel, share, text) {
    printf "<path class=\"grid\" d=\"M%d %.1fH%d\"/>", left, y(panel, share), right
    printf "<text class=\"tick\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", left - 6, y(panel, share) + 4, text
}
function title(panel, text) {
    printf "<text class=\"title\" x=\"%d\" y=\"%.1f\">%s</text>\n", left, y(panel, 1) - 9, text
}
# The next round number from there on.
function round_up(value,    power) {
    if (value <= 0) return 1
    power = exp(int(log(value) / log(10) + 1e-9) * log(10))
    if (value / power <= 1) return power
    if (value / power <= 2) return 2 * power
    if (value / power <= 4) return 4 * power
    if (value / power <= 6) return 6 * power
    return 10 * power
}
function linear(panel, most) {
    tick(panel, 0, "0")
    tick(panel, 0.5, int(most / 2 + 0.5))
    tick(panel, 1, int(most + 0.5))
}
function highest(values,    i, most) {
    for (i in values) if (values[i] > most) most = values[i]
    return most
}
function keep_highest(values, i, value) {
    if (value != "-" && (!(i in values) || value + 0 > values[i])) values[i] = value + 0
}

END {
    if (!rows) exit 1
    whole = last + 1
    width = int((whole + 359) / 360)
    stretches = int((whole + width - 1) / width)
    for (r = 1; r <= rows; r++) {
        split(row[r], cell, FS)
        i = int(cell[1] / width)
        rates[i] += cell[2]; seconds[i]++
        if (cell[4] != "-") { middles[i] += cell[4]; answered[i]++ }
        keep_highest(tails, i, cell[5])
        if (cell[6] != "-") keep_highest(memory, i, cell[6] / 1024)
        keep_highest(handles, i, cell[7])
    }
    for (i in rates) rates[i] /= seconds[i]
    for (i in middles) middles[i] /= answered[i]

    bottom = y(3, 0)
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 880 %d\" role=\"img\" aria-label=\"Rate, latency, memory and file handles of the gateway over the run, with its faults\">\n", bottom + 44
    print "<style>"
    print "svg{--back:#fff;--text:#1f2328;--dim:#59636e;--grid:#d1d9e0;--band:#cf222e;--one:#0969da;--two:#8250df;font:13px system-ui,sans-serif}"
    print "@media(prefers-color-scheme:dark){svg{--back:#0d1117;--text:#f0f6fc;--dim:#9198a1;--grid:#3d444d;--band:#ff7b72;--one:#58a6ff;--two:#d2a8ff}}"
    print ".back{fill:var(--back)}text{fill:var(--text)}.title{font-weight:600}.tick{fill:var(--dim)}.grid{stroke:var(--grid);fill:none}"
    print ".band{fill:var(--band);opacity:.28}.fault{fill:var(--band);font-size:11px}.one,.two{fill:none;stroke:var(--one);stroke-width:1.5}.two{stroke:var(--two)}"
    print ".key-one{fill:var(--one)}.key-two{fill:var(--two)}"
    print "</style>"
    printf "<rect class=\"back\" width=\"880\" height=\"%d\"/>\n", bottom + 44

    for (f = 1; f <= faults; f++) {
        wide = x(to[f]) - x(from[f])
        if (wide < 2) wide = 2
        printf "<rect class=\"band\" x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%.1f\"/>", x(from[f]), top - 28, wide, bottom - top + 28
        middle = x(from[f]) + (wide < 6 ? wide : 6) / 2
        split(name[f], part, ":")
        sub(/^redis$/, "Redis", part[1])
        printf "<text class=\"fault\" x=\"%.1f\" y=\"16\" text-anchor=\"middle\">%s</text>", middle, part[1]
        printf "<text class=\"fault\" x=\"%.1f\" y=\"30\" text-anchor=\"middle\">%s</text>\n", middle, part[2]
    }

    title(0, "Callbacks acknowledged a second")
    most = round_up(highest(rates)); linear(0, most); line(0, "one", rates, most, 0)

    title(1, "Latency of callbacks for bots that are up, ms: <tspan class=\"key-one\">p50</tspan> and <tspan class=\"key-two\">p99</tspan>")
    least = 0.1; most = 10000
    tick(1, 0, "0.1"); tick(1, 0.4, "10"); tick(1, 0.8, "1000")
    line(1, "one", middles, most, 1); line(1, "two", tails, most, 1)

    title(2, "Resident memory, MiB")
    most = round_up(highest(memory)); linear(2, most); line(2, "one", memory, most, 0)

    title(3, "Open file handles")
    most = round_up(highest(handles)); linear(3, most); line(3, "one", handles, most, 0)

    step = whole > 900 ? 300 : whole > 240 ? 60 : 30
    for (second = 0; second <= whole; second += step)
        printf "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n", x(second), bottom + 20, (step < 60 ? second " s" : second / 60 " min")
    print "</svg>"
}
