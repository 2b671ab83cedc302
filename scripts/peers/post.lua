-- For wrk: posts the image that IMAGE names, and counts answers by status.
local file = assert(io.open(os.getenv("IMAGE"), "rb"))
wrk.method = "POST"
wrk.body = file:read("*all")
wrk.headers["Content-Type"] = "image/jpeg"
file:close()

function done(summary, latency)
    io.write(string.format(
        "%.1f %.1f %.1f %d %d\n", summary.requests / summary.duration * 1e6, latency:percentile(50) / 1e3,
        latency:percentile(99) / 1e3, summary.requests, summary.errors.status + summary.errors.timeout))
end
