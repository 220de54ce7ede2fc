-- kv.list of a full page: the method that costs the most processor time.

return {
  body = function(lane) return '{"jsonrpc":"2.0","id":' .. lane.number .. ',"method":"kv.list","params":{"limit":1000}}' end,
  count = function(text) return text:find('"result":{"items":[{', 1, true) and 1 or 0, 0 end,
}
