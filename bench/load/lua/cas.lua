-- Compare and set, everybody on one key: kv.put with the version that this thread heard of last. A mismatch is an answer
-- (and recorded); it is counted apart.

local version = 0

return {
  body = function(lane, plan)
    local acked = lane.seq
    lane.seq = lane.seq + 1
    return '{"jsonrpc":"2.0","id":' .. lane.number .. ',"method":"kv.put","params":{"key":"one","value":"' .. plan.value
      .. '","if_version":' .. version .. ',"_meta":{"session":"' .. lane.name .. '","seq":' .. lane.seq .. ',"acked":'
      .. acked .. "}}}"
  end,
  count = function(text)
    local found = text:match('"version":(%d+)')
    if not found then return 0, 0 end
    version = math.max(version, tonumber(found))
    if text:find('"result"', 1, true) then return 1, 0 end
    return 0, 1
  end,
}
