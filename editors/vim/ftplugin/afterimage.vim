setlocal commentstring=#\ %s comments=:# expandtab shiftwidth=2 softtabstop=2
if executable("afterimage")
  setlocal formatprg=afterimage\ fmt\ - makeprg=afterimage\ check\ %:S
  " error[AI0012]: what is wrong, or NOT AS EXPECTED: what was found; and on the next line --> file:line:column
  setlocal errorformat=%Eerror[AI%n]:\ %m,%E\ %#NOT\ AS\ EXPECTED:\ %m,%C\ %#-->\ %f:%l:%c,%-G%.%#
endif
let b:undo_ftplugin = "setlocal commentstring< comments< expandtab< shiftwidth< softtabstop< formatprg< makeprg< errorformat<"
