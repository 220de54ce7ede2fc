-- kv.get of one of many keys.

return {
  body = function(lane, plan)
    return '{"jsonrpc":"2.0","id":' .. lane.number .. ',"method":"kv.get","params":{"key":"k'
      .. string.format("%07d", math.random(0, plan.keys - 1)) .. '"}}'
  end,
  count = function(text) return text:find('"result":{"value":"', 1, true) and 1 or 0, 0 end,
}
