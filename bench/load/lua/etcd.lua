-- etcd's JSON gateway: one transaction that compares (has this identity a record?), puts the value and puts the record.
-- The gateway wants bytes as base64; digits in fours are base64 as they stand, so nothing needs to be encoded here.

return {
  path = "/v3/kv/txn",
  has_no_id = true,
  body = function(lane, plan)
    lane.seq = lane.seq + 1
    local record = string.format("%04d%012d", lane.number, plan.run * 1e8 + lane.seq)
    return '{"compare":[{"key":"' .. record .. '","target":"CREATE","result":"EQUAL","create_revision":"0"}],'
      .. '"success":[{"request_put":{"key":"' .. string.format("%08d", math.random(0, plan.keys - 1)) .. '","value":"'
      .. plan.value .. '"}},{"request_put":{"key":"' .. record .. '","value":"eyJ2ZXJzaW9uIjoxfQ=="}}],'
      .. '"failure":[{"request_range":{"key":"' .. record .. '"}}]}'
  end,
  count = function(text) return text:find('"succeeded":true', 1, true) and 1 or 0, 0 end,
}
