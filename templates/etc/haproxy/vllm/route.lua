-- Managed by baremetal.vllm
-- Which model does a request name? Two actions for HAProxy 2.6 to 3.0 (Lua 5.3 and 5.4), loaded with `lua-load-per-thread`:
--
--   http-request lua.model_from_json LIMIT    the field `model` of a JSON object        (Content-Type: application/json)
--   http-request lua.model_from_form LIMIT    the field `model` of a form (RFC 7578)    (Content-Type: multipart/form-data)
--
-- LIMIT is the largest body that is read, in bytes. Both need the body in the buffer: `http-request wait-for-body` before them,
-- and a `tune.bufsize` that is 128 KiB beyond LIMIT. They set exactly one of two variables:
--
--   txn.model      the name, decoded: 1 to 256 bytes of UTF-8 without control characters
--   txn.refusal    media_type, encoding, too_large, not_json, too_complex, bad_form, no_model, two_models, model_not_text
--
-- The door must never see another model than the engine does: Python's `json.loads` takes the last of several equal keys,
-- decodes escapes in keys, and guesses UTF-16; Starlette's form parser takes the last field of a name. So what could be read in
-- two ways is refused. What the door does not check, because it cannot change the model (the engine then answers 400 itself):
-- escapes, control characters and invalid UTF-8 inside other strings; commas and signs inside arrays that hold only numbers.
--
-- Work is bounded: the body is walked once, strings are skipped at C speed, and a body of more than STEPS tokens is refused.

local byte, find, match, sub, rep = string.byte, string.find, string.match, string.sub, string.rep

local NAME_BYTES = 256
local DEPTH = 200       -- Python's own parser gives up at about 1,000 levels; tool schemas have some ten.
local STEPS = 3000000   -- About one second of work, shared with other requests every few thousand instructions.
local PARTS = 1000      -- Starlette's own limit for fields and files.
local PART_HEADERS = 8192
local GARBAGE = 1048576 -- A body beyond this is given back at once, or a few of them would stay until the next request.

local QUOTE, BACKSLASH, COMMA, OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT = byte('"\\,[]{}', 1, 7)
local BLANK = { [9] = true, [10] = true, [13] = true, [32] = true }
local WORDS = { ["true"] = true, ["false"] = true, ["null"] = true, NaN = true, Infinity = true, ["-Infinity"] = true }
local ESCAPES = { ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }
local RUN, SHORT_RUN = rep("\\", 4096), rep("\\", 32)

-- The character of the `\uXXXX` escape at `at`, and where it ends; nil for a bad one or half a pair.
local function unicode(raw, at)
  local digits = match(raw, "^\\u(%x%x%x%x)", at)
  if not digits then return nil end
  local code, after = tonumber(digits, 16), at + 6
  if code >= 0xD800 and code <= 0xDBFF then
    local low = tonumber(match(raw, "^\\u(%x%x%x%x)", after) or "0", 16)
    if low < 0xDC00 or low > 0xDFFF then return nil end
    code, after = 0x10000 + (code - 0xD800) * 0x400 + (low - 0xDC00), after + 6
  elseif code >= 0xDC00 and code <= 0xDFFF then
    return nil
  end
  return utf8.char(code), after
end

-- What stands between the quotes of a JSON string, decoded; nil where an escape is none.
local function decode(raw)
  local pieces, from = {}, 1
  while true do
    local at = find(raw, "\\", from, true)
    pieces[#pieces + 1] = sub(raw, from, (at or 0) - 1)
    if not at then return table.concat(pieces) end
    local piece = ESCAPES[sub(raw, at + 1, at + 1)]
    from = at + 2
    if not piece then piece, from = unicode(raw, at) end
    if not piece then return nil end
    pieces[#pieces + 1] = piece
  end
end

-- The name as it may stand in a header, a log and a map, or nil and why not.
local function name_of(text)
  if text == "" then return nil, "no_model" end
  if not text or #text > NAME_BYTES or find(text, "[\0-\31\127]") then return nil, "model_not_text" end
  -- Lua 5.3 counts surrogates as characters.
  if not utf8.len(text) or find(text, "\xED[\xA0-\xBF]") then return nil, "model_not_text" end
  return text
end

-- Where the number or word at `at` ends (the first byte after it), or nil.
local function scalar_end(body, at)
  local after = match(body, "^-?%d+()", at)
  if not after then
    local word, behind = match(body, "^(-?%a+)()", at)
    return WORDS[word] and behind
  end
  if find(body, "^-?0%d", at) then return nil end
  after = match(body, "^%.%d+()", after) or after
  return match(body, "^[eE][+-]?%d+()", after) or after
end

local function model_of_json(body)
  local steps = STEPS

  -- The closing quote of the string whose text begins at `from`, or nil.
  local function string_end(from)
    while true do
      steps = steps - 1
      local quote = find(body, '"', from, true)
      if not quote or steps < 0 then return nil end
      local first = quote
      if byte(body, quote - 1) == BACKSLASH then
        -- An odd number of backslashes before it makes it part of the text.
        while first - #RUN >= from and sub(body, first - #RUN, first - 1) == RUN do first = first - #RUN end
        while first - #SHORT_RUN >= from and sub(body, first - #SHORT_RUN, first - 1) == SHORT_RUN do
          first = first - #SHORT_RUN
        end
        while first > from and byte(body, first - 1) == BACKSLASH do first = first - 1 end
        steps = steps - (quote - first) % #SHORT_RUN // 4
      end
      if (quote - first) % 2 == 0 then return quote end
      from = quote + 1
    end
  end

  local at = match(body, "^[ \t\n\r]*{()")
  if not at then return nil, "not_json" end
  local closers, depth = { CLOSE_OBJECT }, 1
  -- What may come next: "key" or "value"; "first key" or "first value", where the container may also end; "after" a value.
  local expected = "first key"
  local named, refusal, naming = nil, "no_model", false

  while depth > 0 do
    steps = steps - 1
    if steps < 0 then return nil, "too_complex" end
    local now = byte(body, at)
    if BLANK[now] then
      at = match(body, "^[ \t\n\r]+()", at)
      now = byte(body, at)
    end
    local ends = now == closers[depth] and (expected == "after" or expected == (now == CLOSE_LIST and "first value" or "first key"))

    if ends then
      depth, at, expected = depth - 1, at + 1, "after"
    elseif expected == "after" then
      if now ~= COMMA then return nil, "not_json" end
      at, expected = at + 1, closers[depth] == CLOSE_OBJECT and "key" or "value"
    elseif expected == "key" or expected == "first key" then
      local quote = now == QUOTE and string_end(at + 1)
      if not quote then return nil, steps < 0 and "too_complex" or "not_json" end
      -- Written wholly in escapes, `model` takes 30 bytes.
      naming = depth == 1 and quote - at - 1 <= 30 and decode(sub(body, at + 1, quote - 1)) == "model"
      if naming and (named or refusal ~= "no_model") then return nil, "two_models" end
      at, expected = match(body, "^[ \t\n\r]*:()", quote + 1), "value"
      if not at then return nil, "not_json" end
    elseif now == QUOTE then
      local quote = string_end(at + 1)
      if not quote then return nil, steps < 0 and "too_complex" or "not_json" end
      if naming then
        local raw = quote - at - 1 <= 6 * NAME_BYTES and sub(body, at + 1, quote - 1)
        named, refusal = name_of(raw and decode(raw))
        -- Another `model` after this one must be seen as the second, also where this one is refused.
        if not named and refusal == "no_model" then refusal = "empty" end
      end
      at, expected, naming = quote + 1, "after", false
    else
      if naming then named, refusal, naming = nil, "model_not_text", false end
      if now == OPEN_OBJECT or now == OPEN_LIST then
        depth, at = depth + 1, at + 1
        if depth > DEPTH then return nil, "too_complex" end
        closers[depth] = now == OPEN_LIST and CLOSE_LIST or CLOSE_OBJECT
        expected = now == OPEN_LIST and "first value" or "first key"
        -- Token ids by the hundred thousand: to the bracket that closes them in one go.
        local numbers = now == OPEN_LIST and match(body, "^[-+%d.eE, \t\n\r]*%d[ \t\n\r]*()%]", at)
        if numbers then at, expected = numbers, "after" end
      else
        at, expected = now and scalar_end(body, at), "after"
        if not at then return nil, "not_json" end
      end
    end
  end
  if find(body, "[^ \t\n\r]", at) then return nil, "not_json" end
  return named, refusal == "empty" and "no_model" or refusal
end

-- The names of a part's field and file from its header lines; nil where they are not plain.
local function part_names(lines)
  local field, file, dispositions = nil, nil, 0
  for line in string.gmatch(lines, "(.-)\r\n") do
    local header, value = match(line, "^([%w-]+):[ \t]*([^\0\r\n]-)[ \t]*$")
    if not header then return nil end
    header = string.lower(header)
    if header == "content-disposition" then
      dispositions = dispositions + 1
      local rest = match(value, "^[Ff][Oo][Rr][Mm]%-[Dd][Aa][Tt][Aa](.*)$")
      while rest and rest ~= "" do
        -- Exact parameters only: `name*=`, backslashes and other bare words than plain ones are read in more than one way.
        local key, text, behind = match(rest, '^;[ \t]*([%w*-]+)="([^"\\]*)"[ \t]*(.*)$')
        if not key then key, text, behind = match(rest, '^;[ \t]*([%w-]+)=([%w._-]+)[ \t]*(.*)$') end
        key = key and string.lower(key)
        if key == "name" and not field then
          field = text
        elseif key == "filename" and not file then
          file = text
        elseif match(rest, '^;[ \t]*filename%*=[^;"\\]*$') then
          file, behind = file or "", ""
        else
          return nil
        end
        rest = behind
      end
    elseif header == "content-transfer-encoding" then
      value = string.lower(value)
      if value ~= "binary" and value ~= "8bit" and value ~= "7bit" then return nil end
    end
  end
  if dispositions ~= 1 then return nil end
  return field, file
end

local function boundary_of(media)
  local rest = match(media, "^%s*[^;%s]+%s*;%s*(.-)%s*$") or ""
  rest = string.gsub(rest, "^[cC][hH][aA][rR][sS][eE][tT]=\"?[uU][tT][fF]%-8\"?%s*;%s*", "")
  rest = string.gsub(rest, "%s*;%s*[cC][hH][aA][rR][sS][eE][tT]=\"?[uU][tT][fF]%-8\"?$", "")
  local key, value = match(rest, '^(%a+)="([^"\\;]+)"$')
  if not key then key, value = match(rest, '^(%a+)=([^%s";]+)$') end
  if not key or string.lower(key) ~= "boundary" or #value > 70 then return nil end
  return find(value, "^[%w'()+_,./:=?-]+$") and value
end

local function model_of_form(body, media)
  local boundary = boundary_of(media)
  if not boundary then return nil, "bad_form" end
  local mark = "--" .. boundary
  if sub(body, 1, #mark) ~= mark then return nil, "bad_form" end
  local at, parts, named, refusal = #mark + 1, 0, nil, "no_model"
  while sub(body, at, at + 1) == "\r\n" do
    parts = parts + 1
    if parts > PARTS then return nil, "too_complex" end
    local head = at + 2
    local _, text = find(sub(body, head, head + PART_HEADERS), "\r\n\r\n", 1, true)
    text = text and head + text
    local next_mark = text and find(body, mark, text, true)
    -- A delimiter is a line of its own; the boundary within a line could be data to one parser and the end to another.
    if not next_mark or next_mark - 2 < text or sub(body, next_mark - 2, next_mark - 1) ~= "\r\n" then return nil, "bad_form" end
    local field, file = part_names(sub(body, head, text - 3))
    if not field then return nil, "bad_form" end
    if field == "model" then
      if named or refusal ~= "no_model" then return nil, "two_models" end
      if file or next_mark - 2 - text > NAME_BYTES then
        refusal = "model_not_text"
      else
        named, refusal = name_of(sub(body, text, next_mark - 3))
        if not named and refusal == "no_model" then refusal = "empty" end
      end
    elseif field == "_charset_" then
      return nil, "bad_form"
    end
    at = next_mark + #mark
  end
  -- The end, with nothing behind it but a line break.
  local rest = sub(body, at, at + 4)
  if rest ~= "--" and rest ~= "--\r\n" then return nil, "bad_form" end
  return named, refusal == "empty" and "no_model" or refusal
end

local function action(read, wanted)
  return function(txn, limit)
    local function answer()
      local media = txn.sf:req_fhdr("content-type")
      local encoding = string.lower(txn.sf:req_fhdr("content-encoding"))
      -- Of two equal headers, which one counts is each parser's own choice.
      if encoding ~= "" and encoding ~= "identity" or txn.f:req_fhdr_cnt("content-encoding") > 1 then return nil, "encoding" end
      if string.lower(match(media, "^%s*([^;%s]*)")) ~= wanted or txn.f:req_fhdr_cnt("content-type") > 1 then
        return nil, "media_type"
      end
      local held = txn.f:req_body_len() or 0
      -- The size that Content-Length tells; of a chunked body, what has come. One that fills the buffer may go on.
      if held > tonumber(limit) or held < (txn.f:req_body_size() or 0) then return nil, "too_large" end
      return read(txn.sf:req_body(), media)
    end
    local named, refusal = answer()
    txn:set_var(named and "txn.model" or "txn.refusal", named or refusal)
    if (txn.f:req_body_len() or 0) > GARBAGE then collectgarbage() end
  end
end

core.register_action("model_from_json", { "http-req" }, action(model_of_json, "application/json"), 1)
core.register_action("model_from_form", { "http-req" }, action(model_of_form, "multipart/form-data"), 1)
