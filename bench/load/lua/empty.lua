-- The Flask view that does nothing.

return {
  path = "/empty",
  has_no_id = true,
  body = function() return "{}" end,
  count = function(text) return text:find('"ok":true', 1, true) and 1 or 0, 0 end,
}
