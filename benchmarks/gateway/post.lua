-- wrk script: posts one request, checks the answers, prints what it counted on one line.
-- BENCH_BODY names the body's file, BENCH_HEADERS holds "name: value" lines, BENCH_EXPECT what each answer holds.
local file = assert(io.open(os.getenv("BENCH_BODY"), "rb"))
wrk.method, wrk.body = "POST", file:read("*a")
file:close()
for name, value in os.getenv("BENCH_HEADERS"):gmatch("([^:\n]+):%s*([^\n]*)") do
  wrk.headers[name] = value
end

local expect, threads = os.getenv("BENCH_EXPECT"), {}
wrong = 0

function setup(thread) table.insert(threads, thread) end

function response(status, headers, body)
  if status ~= 200 or not body:find(expect, 1, true) then wrong = wrong + 1 end
end

function done(summary, latency, requests)
  local all, errors = 0, summary.errors
  for _, thread in ipairs(threads) do all = all + thread:get("wrong") end
  io.write(string.format('\nBENCH {"requests":%d,"seconds":%.3f,"p50_ms":%.3f,"p99_ms":%.3f,"wrong":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    all + errors.connect + errors.read + errors.write + errors.timeout))
end
