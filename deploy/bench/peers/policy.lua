-- What consentry does, as short as it can be said: no deletions, no prefixes, no split fields, no age of a decision.
local policy = {}

local category = {
  session = "necessary", csrftoken = "necessary", consentry = "necessary", lang = "functional",
  _ga = "analytics", _gid = "analytics", _fbp = "targeting", IDE = "targeting",
}

-- What a request's cookies grant, and those of them that may pass.
function policy.request(cookies)
  local granted = { necessary = true }
  if not cookies then return granted, nil end
  local names = string.match(cookies, "consentry=1~%d+~[^~;]*~([^~;]*)~")
  for name in string.gmatch(names or "", "[^+]+") do granted[name] = true end
  local kept = {}
  for pair in string.gmatch(cookies, "[^;]+") do
    local trimmed = string.match(pair, "^%s*(.*)$")
    local name = string.match(trimmed, "^([^=%s]+)")
    if granted[category[name] or ""] then kept[#kept + 1] = trimmed end
  end
  return granted, table.concat(kept, "; ")
end

-- Of a response's Set-Cookie lines those that may pass.
function policy.response(lines, granted)
  local kept = {}
  for _, line in ipairs(lines) do
    if granted[category[string.match(line, "^%s*([^=;%s]+)")] or ""] then kept[#kept + 1] = line end
  end
  return kept
end

return policy
