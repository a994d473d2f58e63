-- SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
-- SPDX-License-Identifier: AGPL-3.0-or-later
--
-- Lets in requests to Orthanc's HTTP that name this machine, or a name listed under "TrustedHosts" in Orthanc's
-- configuration, as their host, and that no page of another site made a browser send. Orthanc asks for a password,
-- but a browser that has it sends it along with whatever any page makes it send, and Orthanc checks neither the host
-- nor the origin of a request itself. A request that is turned down is answered 403.

local trusted = { ['127.0.0.1'] = true, ['localhost'] = true, ['[::1]'] = true }
for _, name in ipairs(GetOrthancConfiguration()['TrustedHosts'] or {}) do
  trusted[string.lower(name)] = true
end

-- The name in a Host header, without port; nil when there is none.
local function nameOf(host)
  local name, port = string.match(host, '^(%[[%x:.]+%])(.*)$')
  if not name then
    name, port = string.match(host, '^([%w._-]+)(.*)$')
  end
  if name and (port == '' or string.match(port, '^:%d+$')) then
    return name
  end
  return nil
end

function IncomingHttpRequestFilter(method, uri, ip, username, httpHeaders)
  local host = string.lower(httpHeaders['host'] or '')
  local name = nameOf(host)
  if not name or not trusted[name] then
    return false
  end
  if method == 'GET' or method == 'HEAD' then
    return true
  end
  local origin = httpHeaders['origin']
  if origin then
    if string.match(string.lower(origin), '^https?://([^/]+)$') ~= host then
      return false
    end
  elseif string.find(httpHeaders['user-agent'] or '', 'Mozilla', 1, true) then
    -- A browser names the origin of all that it posts, puts or deletes: this came of a GET with "?_method=", which
    -- an image on any page can be.
    return false
  end
  local site = httpHeaders['sec-fetch-site'] or 'none'
  return site == 'none' or site == 'same-origin'
end
