-- One short text a request, as the original system was measured:
--   wrk -t2 -c10 -d20s --latency -s test/bench/wrk-embed.lua http://127.0.0.1:8080/api/v1/embed
-- Prints one JSON line after wrk's own summary: requests/s, percentiles in ms and the share of failed requests.

local subjects = { "The quick brown fox", "A small harbour town", "The night train to Vienna", "An old lighthouse keeper" }
local verbs = { "jumps over", "looks back at", "writes a letter to", "waits for" }
local objects = { "the lazy dog.", "a silent river.", "seven grey geese.", "the first snow of the year." }

local threads = {}
local counter = 0
local bodies = {}
refused = 0

-- Other requests than these: a file with one body a line.
if os.getenv("BODIES") then
  for line in io.lines(os.getenv("BODIES")) do table.insert(bodies, line) end
end

function setup(thread)
  table.insert(threads, thread)
end

function request()
  counter = counter + 1
  if #bodies > 0 then
    return wrk.format("POST", nil, { ["content-type"] = "application/json" }, bodies[counter % #bodies + 1])
  end
  local text = subjects[counter % 4 + 1] .. " " .. verbs[math.floor(counter / 4) % 4 + 1] .. " "
    .. objects[math.floor(counter / 16) % 4 + 1]
  return wrk.format("POST", nil, { ["content-type"] = "application/json" }, '{"texts":["' .. text .. '"]}')
end

function response(status)
  if status ~= 200 then refused = refused + 1 end
end

function done(summary, latency)
  local failed = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  for _, thread in ipairs(threads) do failed = failed + thread:get("refused") end
  io.write(string.format(
    '{"requestsPerSecond":%.1f,"p50Ms":%.2f,"p95Ms":%.2f,"p99Ms":%.2f,"requests":%d,"errorRate":%.6f}\n',
    summary.requests / (summary.duration / 1e6),
    latency:percentile(50) / 1000, latency:percentile(95) / 1000, latency:percentile(99) / 1000,
    summary.requests, failed / math.max(1, summary.requests + summary.errors.connect)))
end
