# Read by ctest itself, once for each program of tests: lists the program's tests when the program
# is newer than the list. A test that proves behaviour 30 has _b30 in its name and gets the label
# behaviour-30; tests/coverage counts the labels.
if(NOT EXISTS "${program}")
    add_test("${module}: not built" "${program}")
    return()
endif()
if("${program}" IS_NEWER_THAN "${list}" OR "${CMAKE_CURRENT_LIST_FILE}" IS_NEWER_THAN "${list}")
    execute_process(COMMAND "${program}" --gtest_list_tests
        OUTPUT_VARIABLE output RESULT_VARIABLE result)
    if(NOT result EQUAL 0)
        add_test("${module}: cannot list its tests" "${program}" --gtest_list_tests)
        return()
    endif()
    string(REGEX REPLACE "[][;]" "_" output "${output}")   # these split lists, and are in remarks
    string(REPLACE "\n" ";" output "${output}")
    set(lines "")
    foreach(line IN LISTS output)
        string(REGEX REPLACE " *#.*" "" line "${line}")    # the value of a parameter
        if(line MATCHES "^  (.+)")
            set(name "${suite}${CMAKE_MATCH_1}")
            set(labels "module-${module}")
            string(REPLACE "_" "__" marks "${name}")       # so that _b24_b34 share no "_"
            string(REGEX MATCHALL "_b[0-9]+([_/.]|$)" marks "${marks}")
            foreach(mark IN LISTS marks)
                string(REGEX REPLACE "_b0*([0-9]+).*" "behaviour-\\1" mark "${mark}")
                list(APPEND labels ${mark})
            endforeach()
            set(disabled FALSE)
            if(name MATCHES "DISABLED_")   # GoogleTest would run nothing and call it passed
                set(disabled TRUE)
            endif()
            string(APPEND lines "add_test([[${name}]] [[${program}]] [[--gtest_filter=${name}]])\n"
                "set_tests_properties([[${name}]] PROPERTIES TIMEOUT ${timeout}"
                " DISABLED ${disabled} LABELS [[${labels}]] ENVIRONMENT [[${environment}]]"
                " SKIP_REGULAR_EXPRESSION [=[\\[  SKIPPED \\]]=])\n")
        elseif(line MATCHES "^[^ ].*\\.$")
            set(suite "${line}")
        endif()
    endforeach()
    file(WRITE "${list}" "${lines}")
endif()
include("${list}")
