-- A minimal version of consentry's filter. It does not delete cookies, match prefixes, join split fields or check the
-- age of a decision.
local policy = {}

local category = {
  session = "necessary", csrftoken = "necessary", consentry = "necessary", lang = "functional",
  _ga = "analytics", _gid = "analytics", _fbp = "targeting", IDE = "targeting",
}

-- The granted categories of a request, and its permitted cookies.
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

-- The permitted Set-Cookie lines of a response.
function policy.response(lines, granted)
  local kept = {}
  for _, line in ipairs(lines) do
    if granted[category[string.match(line, "^%s*([^=;%s]+)")] or ""] then kept[#kept + 1] = line end
  end
  return kept
end

return policy
