" Colours for the scenarios of afterimage. The lists are those of the program: a test holds them against its tables.
if exists("b:current_syntax")
  finish
endif

syntax case match
syntax iskeyword @,48-57,_

" Of a word that is several things the last list has it.
syntax keyword afterimageOption contained ats_drains deadlock dma evict flush inv_drains livelock memory queue range
syntax keyword afterimageOption contained speculation timeout unlock use_after_free walk walk_after_free walk_unlinked
syntax keyword afterimageFeature cont dirty exclusive huge marker migration present protnone ro rw special swap
syntax keyword afterimageFeature table uffd_wp young
syntax keyword afterimageLook content context contextc devtlb gone in_progress iotlb loaded_mm mapcount orig
syntax keyword afterimageLook pasid pasidc pins pmd pmd_same pte pte_same pwc refs requested spmd spte stable
syntax keyword afterimageLook tlb torn vtlb
syntax keyword afterimageStatement alloc atomic change_pte check context_inv copy devtlb_inv devtlb_inv_pasid
syntax keyword afterimageStatement dma_read dma_write drain_requests else end fence flush_pmd flush_tag flush_tlb
syntax keyword afterimageStatement flush_tlb_mm flush_vcpus for forget free get goto gup_fast if inv_wait iotlb_inv
syntax keyword afterimageStatement iotlb_inv_pasid ipi_sync irq_off irq_on ksm_merge ksm_stabilize load lock map
syntax keyword afterimageStatement mark_stable notify notify_end notify_mm notify_pmd notify_start page_request
syntax keyword afterimageStatement page_response pasid_inv peek pin pmd_clear pmd_modify pmd_read pte_clear
syntax keyword afterimageStatement pte_modify pte_read ptep_clear_flush ptep_clear_flush_notify put rcu_read_lock
syntax keyword afterimageStatement rcu_read_unlock read repeat set_context set_context_high set_context_low
syntax keyword afterimageStatement set_pasid set_pasid_high set_pasid_low set_pmd set_pte set_spmd set_spte store
syntax keyword afterimageStatement switch synchronize_rcu try_get trylock unlock unmap unpin unplug walk when
syntax keyword afterimageStatement wp_page_copy write zap_spmd zap_spte
syntax keyword afterimageKeyword about agent always context cpu device drop expect finally for frame like lock map mm
syntax keyword afterimageKeyword move never option page pasid pmd race refs replace scenario shadow source swap
syntax keyword afterimageKeyword sweep table tag trace unreached var vcpu

" In a table, and below the head of a program, a word is a step, also where it begins a line of its own elsewhere: lock, map.
syntax region afterimageRows start=/\(^\(race\|trace\)\)\@<=\_s/ end=/^\s*$/ contains=ALLBUT,afterimageKeyword,afterimageOption,afterimageRow,afterimageRows,afterimageVerdict
syntax match afterimageRow /^\s\+\S.*$/ contains=ALLBUT,afterimageKeyword,afterimageOption,afterimageRow,afterimageRows,afterimageVerdict

syntax match afterimageVerdict /\(^expect\s\+\)\@<=\(proved\|violation\)\>/
syntax match afterimageNumber /\<[0-9]\+\>/
syntax match afterimageOperator /->\|=>\|==\|!=\|<=\|>=\|+=\|-=\|&&\|||\|\.\.\|[=<>+!]/
syntax match afterimageLabel /^\s*\(else\>\)\@![A-Za-z_][A-Za-z0-9_]*:\s*\ze\(#.*\)\?$/
syntax match afterimageAssumption /\(^option\)\@<=\s\+\h\w*/ contains=afterimageOption
" These begin with the blank: a keyword would win where a name begins with one, store-buffering.
syntax match afterimageProgram /\(^agent\)\@<=\s\+\h\w*/
syntax match afterimageName /\(^\(scenario\|like\)\)\@<=\s\+[A-Za-z0-9._-]\+/
syntax region afterimageText start=/"/ end=/"/ oneline
syntax match afterimageRemark /#.*$/ contains=@Spell

highlight default link afterimageKeyword Keyword
highlight default link afterimageStatement Function
highlight default link afterimageLook Identifier
highlight default link afterimageFeature Constant
highlight default link afterimageOption Type
highlight default link afterimageNumber Number
highlight default link afterimageOperator Operator
highlight default link afterimageLabel Label
highlight default link afterimageName Title
highlight default link afterimageProgram Type
highlight default link afterimageVerdict Constant
highlight default link afterimageText String
highlight default link afterimageRemark Comment

let b:current_syntax = "afterimage"
