-- SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
-- SPDX-License-Identifier: Apache-2.0
--
-- Sends the answer about a study to the PACS as soon as it stands: of a study with hemorrhage all that belongs to it,
-- of any other its report alone. For the appliance's Orthanc ("orthanc.scripts" in its settings, "LuaScripts" in
-- Orthanc's configuration), which has to know the receiver ("orthanc.receivers", "DicomModalities") by this name:

local PACS = 'PACS'

-- What is sent first: a reading list moves with the report.
local ORDER = { 'sr', 'seg', 'key-objects', 'key-image', 'refusal' }

-- The number of the answer that was sent last, by study: Orthanc calls the function below whenever any metadata of a
-- study was written, or a file attached to it. Forgotten when Orthanc restarts.
local sent = {}

function OnUpdatedStudy(studyId)
  local answer = nil
  for _, name in ipairs(ParseJson(RestApiGet('/studies/' .. studyId .. '/metadata'))) do
    if name == 'HemorrhageAnswer' then
      answer = ParseJson(RestApiGet('/studies/' .. studyId .. '/metadata/' .. name))
    end
  end
  if not answer or sent[studyId] == answer['job'] then
    return
  end
  local wanted = ORDER
  if answer['answer'] ~= 'present' then
    wanted = { 'sr', 'refusal' }
  end
  local resources = {}
  for _, kind in ipairs(wanted) do
    table.insert(resources, answer['series'][kind])
  end
  local priority = 0
  if answer['answer'] == 'present' then
    priority = 10
  end
  if #resources > 0 then
    -- A job of Orthanc's, which stands in /jobs. It is not tried again when the PACS is away: follow_answers.py does.
    RestApiPost('/modalities/' .. PACS .. '/store',
      DumpJson({ Resources = resources, Asynchronous = true, Priority = priority }))
  end
  sent[studyId] = answer['job']
end
