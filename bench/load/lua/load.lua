-- The load: what wrk's threads send, and what they make of each reply. Every reply is looked at, so that no error is
-- counted as a call. Two arguments stand behind the URL: the plan (written by bench/load/plan.py) and the shape's file.
--
-- A lane is one client: a session with at most one request under way, so that `acked` is exact. wrk does not tell
-- request() on which connection it will leave, so lanes are taken from a queue, and the reply's own id (a lane's
-- number) puts its lane back. Where a reply has no id (etcd), the oldest lane comes back.

local ffi = require("ffi")
ffi.cdef([[
  typedef struct { long sec; long nsec; } bench_time;
  int clock_gettime(int clock, bench_time *now);
]])

local threads_made = 0
local threads = {}

function setup(thread)
  thread:set("thread_number", threads_made)
  threads_made = threads_made + 1
  threads[threads_made] = thread
end

good, other, bad, lost, bad_sample = 0, 0, 0, 0, ""

local plan, shape, head
local lanes = {}
local queue, first, last = {}, 1, 0
local now = ffi.new("bench_time")
local verified = false

local function now_ms()
  ffi.C.clock_gettime(1, now)
  return tonumber(now.sec) * 1000 + tonumber(now.nsec) / 1e6
end

local function put_back(lane)
  if lane and lane.busy then
    lane.busy = false
    last = last + 1
    queue[last] = lane
  end
end

local function take()
  if first > last then -- a connection broke and took its lane along
    lost = lost + 1
    return lanes[math.random(#lanes)]
  end
  local lane = queue[first]
  queue[first] = nil
  first = first + 1
  lane.busy = true
  return lane
end

-- Paced: the thread's requests leave at even moments, whichever connection is free; wrk waits whole milliseconds.
local function pace()
  local step_ms = 1000 * plan.threads / plan.rate
  local slot_ms = nil
  function delay()
    local at_ms = now_ms()
    slot_ms = math.max(slot_ms or at_ms, at_ms - 50) + step_ms -- after a longer stall the rest is not made up for
    return math.max(0, math.floor(slot_ms - at_ms + 0.5))
  end
end

function init(args)
  plan = dofile(args[1])
  shape = dofile(args[2])
  math.randomseed(plan.seed + thread_number)
  for number, name in ipairs(plan.sessions) do
    if number % plan.threads == thread_number then
      local lane = { number = number, name = name, seq = plan.seq, busy = true }
      lanes[number] = lane
      put_back(lane)
    end
  end
  if shape.begin then shape.begin(plan, shape) end
  head = table.concat({ shape.method or "POST", " ", shape.path or "/rpc", " HTTP/1.1\r\nHost: ", wrk.host, ":",
    wrk.port, "\r\nContent-Type: application/json\r\nContent-Length: " })
  if plan.rate > 0 then pace() end
end

function request()
  if thread_number == 0 and not verified then -- wrk asks once to see how it looks; that one is not sent
    verified = true
    return head .. "0\r\n\r\n"
  end
  local lane = take()
  local body = shape.body(lane, plan)
  local more = shape.headers and shape.headers(lane, plan) or ""
  return head .. #body .. "\r\n" .. more .. "\r\n" .. body
end

local function oldest()
  shape.oldest = (shape.oldest or 0) % #plan.sessions + 1
  return lanes[shape.oldest]
end

function response(status, _, body)
  local number = shape.has_no_id and 0 or tonumber(body:match('"id":(%d+)'))
  put_back(number == 0 and oldest() or lanes[number])
  local right, refused = shape.count(body, plan)
  if status ~= 200 or right + refused == 0 then
    bad = bad + 1
    bad_sample = status .. " " .. body:sub(1, 200)
  end
  good, other = good + right, other + refused
end

local function quote(text)
  return '"' .. text:gsub('[%c"\\]', function(char) return string.format("\\u%04x", char:byte()) end) .. '"'
end

function done(summary, latency, _)
  local sum = { good = 0, other = 0, bad = 0, lost = 0 }
  local sample = ""
  for _, thread in ipairs(threads) do
    for name in pairs(sum) do sum[name] = sum[name] + thread:get(name) end
    if sample == "" then sample = thread:get("bad_sample") end
  end
  local e = summary.errors
  print(string.format(
    '{"requests":%d,"duration_us":%d,"good":%d,"other":%d,"bad":%d,"lost":%d,"broken":%d,"timeouts":%d,'
      .. '"p50_us":%d,"p99_us":%d,"p999_us":%d,"max_us":%d,"sample":%s}',
    summary.requests, summary.duration, sum.good, sum.other, sum.bad, sum.lost, e.connect + e.read + e.write, e.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9), latency.max, quote(sample)))
end
