autocmd BufRead,BufNewFile *.scn setfiletype afterimage
