-- kv.put of a value to one of many keys; in a batch where plan.batch says so, under an identity where plan.identity does.

-- One expression each: a text in two steps is copied twice, and the second copy would be measured as the identity's.
local function call(lane, plan)
  local key = string.format("%07d", math.random(0, plan.keys - 1))
  if not plan.identity then
    return '{"jsonrpc":"2.0","id":' .. lane.number .. ',"method":"kv.put","params":{"key":"k' .. key .. '","value":"'
      .. plan.value .. '"}}'
  end
  lane.seq = lane.seq + 1
  return '{"jsonrpc":"2.0","id":' .. lane.number .. ',"method":"kv.put","params":{"key":"k' .. key .. '","value":"'
    .. plan.value .. '","_meta":{"session":"' .. lane.name .. '","seq":' .. lane.seq .. ',"acked":' .. lane.acked .. "}}}"
end

local function body(lane, plan)
  lane.acked = lane.seq -- all replies of this lane are here: it has one request under way at a time
  if plan.batch == 0 then return call(lane, plan) end
  local calls = {}
  for n = 1, plan.batch do calls[n] = call(lane, plan) end
  return "[" .. table.concat(calls, ",") .. "]"
end

local function count(text)
  local found, from = 0, 1
  while true do
    from = text:find('"result":{"version"', from, true)
    if not from then return found, 0 end
    found, from = found + 1, from + 1
  end
end

return { body = body, count = count }
