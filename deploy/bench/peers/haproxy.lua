local policy = require "policy"

core.register_action("consent_request", { "http-req" }, function(txn)
  local fields = txn.http:req_get_headers()["cookie"]
  local granted, kept = policy.request(fields and fields[0])
  if kept then txn.http:req_set_header("cookie", kept) end
  local names = ","
  for name in pairs(granted) do names = names .. name .. "," end
  txn:set_var("txn.granted", names)
end)

core.register_action("consent_response", { "http-res" }, function(txn)
  local fields = txn.http:res_get_headers()["set-cookie"]
  if not fields then return end
  local lines, granted = {}, {}
  for i = 0, #fields do lines[#lines + 1] = fields[i] end
  for name in string.gmatch(txn:get_var("txn.granted"), "[^,]+") do granted[name] = true end
  txn.http:res_del_header("set-cookie")
  for _, line in ipairs(policy.response(lines, granted)) do txn.http:res_add_header("set-cookie", line) end
end)
