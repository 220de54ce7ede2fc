-- The same call of each session again and again: answered from its record, with its mark.

return {
  body = function(lane, plan)
    return '{"jsonrpc":"2.0","id":' .. lane.number .. ',"method":"kv.put","params":{"key":"k0000000","value":"'
      .. plan.value .. '","_meta":{"session":"' .. lane.name .. '","seq":1}}}'
  end,
  count = function(text) return text:find('"replayed":true', 1, true) and 1 or 0, 0 end,
}
