-- The Flask view that commits each request: the same effect, identity and acknowledgement as OnceKV's kv.put.

return {
  path = "/put",
  body = function(lane, plan)
    local acked = lane.seq
    lane.seq = lane.seq + 1
    return '{"id":' .. lane.number .. ',"session":"' .. lane.name .. '","seq":' .. lane.seq .. ',"acked":' .. acked
      .. ',"key":"k' .. string.format("%07d", math.random(0, plan.keys - 1)) .. '","value":"' .. plan.value .. '"}'
  end,
  count = function(text) return text:find('"version":', 1, true) and 1 or 0, 0 end,
}
