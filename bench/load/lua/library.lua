-- An order at one of the library's views: with an identity at a retry-safe one, each request under a key of its own.

return {
  begin = function(plan, shape) shape.path = plan.path end,
  headers = function(lane, plan)
    return plan.identity and "Idempotency-Key: r" .. plan.run .. "-" .. lane.number .. "-" .. lane.seq .. "\r\n" or ""
  end,
  body = function(lane, plan)
    lane.seq = lane.seq + 1
    return '{"id":' .. lane.number .. ',"item":' .. math.random(0, plan.keys - 1) .. ',"pieces":1}'
  end,
  count = function(text) return text:find('"order":', 1, true) and 1 or 0, 0 end,
}
