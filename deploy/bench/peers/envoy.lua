local policy = (function() @POLICY@ end)()

function envoy_on_request(handle)
  local headers = handle:headers()
  local granted, kept = policy.request(headers:get("cookie"))
  if headers:get(":path") == "/collect" and not granted.analytics then
    handle:respond({ [":status"] = "204" })
    return
  end
  if kept then headers:replace("cookie", kept) end
  handle:streamInfo():dynamicMetadata():set("consent", "granted", granted)
end

function envoy_on_response(handle)
  local headers = handle:headers()
  local count = headers:getNumValues("set-cookie")
  if count == 0 then return end
  local lines, metadata = {}, handle:streamInfo():dynamicMetadata():get("consent")
  for i = 0, count - 1 do lines[#lines + 1] = headers:getAtIndex("set-cookie", i) end
  headers:remove("set-cookie")
  local granted = metadata and metadata["granted"] or { necessary = true }
  for _, line in ipairs(policy.response(lines, granted)) do headers:add("set-cookie", line) end
end
